"""Contract suites: what every method, optimizer, stream, model, sink and text format must do, ours and yours.

A suite is a class of tests; inherit it in a file that pytest collects and say what is under test.

    from zfscale.testing.trials import OptimizerContract

    class TestMine(OptimizerContract):
        optimizer = {"name": "mypkg.optimizers:MINE", "lr": 0.01}
"""
