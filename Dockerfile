# An environment with the versions that the tests have passed with:
#   docker build --tag transfer . && docker run --rm --volume "$PWD/runs:/runs" transfer quickstart --run=/runs/quickstart
FROM python:3.11-slim
WORKDIR /transfer
COPY . .
ARG EXTRAS=""
RUN pip install --no-cache-dir --constraint constraints.txt ".${EXTRAS}"
WORKDIR /
ENTRYPOINT ["transfer"]
