"""A script of the user's, run as it stands."""

import subprocess
import sys


def test_a_script_needs_no_guard_and_runs_once(tmp_path):
    (tmp_path / "mine.py").write_text(
        "from camel_plugin import evaluate\n"
        "print('once')\n"
        "print(evaluate('camel', 'lenet5', budget_s=0.05, workers=2).totals.macs)\n"
    )
    done = subprocess.run(
        [sys.executable, "mine.py"], cwd=tmp_path, capture_output=True, text=True, timeout=100, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    once, macs = done.stdout.split()
    assert once == "once" and int(macs) > 0
