import pytest
from training.tiny import compiled_once


@pytest.fixture(scope="package", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory):
    with compiled_once(str(tmp_path_factory.mktemp("compiled"))):
        yield
