"""A program that tells its environment, then waits for its input to end. Run by test_stage.py."""

import os
import sys

sys.stdout.write(f"{os.environ['GIVEN']} {os.environ['PATH']}\n")
sys.stdout.flush()
sys.stdin.read()
