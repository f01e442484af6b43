"""`python -m svg_tf.cli`: as `svg-tf`."""

import sys

from svg_tf.cli import main

sys.exit(main())
