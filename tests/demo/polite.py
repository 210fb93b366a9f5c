"""A program that ends with 7 when it is asked to. Run by test_stage.py."""

import signal
import sys
import time

signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))
sys.stderr.write("a line for the log\n")
sys.stdout.write("ready\n")
sys.stdout.flush()
time.sleep(600)
