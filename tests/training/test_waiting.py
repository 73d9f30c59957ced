"""What is done while the devices take steps: nothing of it stands between two chunks."""

from transfer.training import loop

from .tiny import LOG_EVERY, STEPS, train


def test_steps_are_written_down_and_read_while_others_are_taken(monkeypatch):
    done = []

    def noted(name, place):
        original = getattr(loop._Run, name)

        def call(run, *arguments):
            result = original(run, *arguments)
            done.append((name, place(run, arguments)))
            return result

        monkeypatch.setattr(loop._Run, name, call)

    # Each is named by the step after which its chunk ends.
    noted("take", lambda run, _: run.step)
    noted("write_down", lambda run, arguments: arguments[0].step + arguments[0].steps)
    noted("read", lambda run, arguments: run.step + arguments[0])
    told = []
    train(progress=lambda fraction, loss: told.append((round(fraction * STEPS), len(done))))

    ends = [1, 2, LOG_EVERY, 2 * LOG_EVERY, STEPS]
    expected = [("read", 1)]
    for before, end, after in zip([None, *ends], ends, [*ends[1:], STEPS], strict=False):
        expected.append(("take", end))
        if before is not None:
            expected.append(("write_down", before))
        expected.append(("read", after))
    assert done == [*expected, ("write_down", STEPS)]
    # Progress is told of what is written down.
    assert [step for step, _ in told] == [8, 16, 20]
