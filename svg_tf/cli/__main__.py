"""`python -m svg_tf.cli`: the same as `svg-tf`."""

import sys

from svg_tf.cli import main

sys.exit(main())
