"""`python -m meshca` is the `meshca` script."""

import sys

from meshca.cli import main

if __name__ == "__main__":
    sys.exit(main())
