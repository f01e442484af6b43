import os
import pathlib
import re

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

ROOT = pathlib.Path(__file__).resolve().parent
SHIPPED = ("smmnist_mini",)  # small trained runs that `svg_tf.from_preset` finds in an installed package

EXTRAS = {
    "demo": ["scikit-learn>=1.5"],
    "video": ["av>=14"],
    "beam": ["apache-beam>=2.65"],
    "dask": ["distributed>=2025.1"],
    "serving": ["tensorflow-serving-api>=2.19,<2.22", "requests>=2.31"],
    "plots": ["matplotlib>=3.8"],
    "tfx": ["tfx>=1.21,<1.22", "av>=14", "matplotlib>=3.8"],
    "dev": ["pytest>=8", "pytest-xdist>=3.6", "ruff>=0.8", "scikit-image>=0.24"],
}
# TFX is not among them: its wheels need glibc 2.39, and it pins other versions than constraints.txt does.
EXTRAS["all"] = sorted({requirement for name, extra in EXTRAS.items() if name != "tfx" for requirement in extra})


def read(name):
    return (ROOT / name).read_text(encoding="utf-8")


def version():
    """From the file, so that nothing of the package is imported here."""
    return re.search(r'^__version__ = "([^"]+)"$', read("svg_tf/version.py"), re.MULTILINE)[1]


def long_description():
    """README.md for package indices, which have none of the repository's files: pictures go, links to files become text."""
    text = re.sub(r"!\[[^\]]*\]\((?!https?:)[^)]*\)", "", read("README.md"))
    text = re.sub(r"<img\b[^>]*\bsrc=[\"'](?!https?:)[^>]*>", "", text)
    return re.sub(r"\[([^\]]+)\]\((?!https?:|#)[^)]*\)", r"\1", text)


class BuildWithRuns(build_py):
    """The package's files and, below svg_tf/shipped, configuration and weights of small trained runs."""

    def shipped(self):
        for name in SHIPPED:
            run = ROOT / "saved_models" / name / "run"
            for source in (run / "config.json", *sorted((run / "checkpoints").glob("step-*.npz"))):
                yield source, os.path.join(self.build_lib, "svg_tf", "shipped", name, "run", source.relative_to(run))

    def run(self):
        super().run()
        if getattr(self, "editable_mode", False):
            return
        for source, target in self.shipped():
            self.mkpath(os.path.dirname(target))
            self.copy_file(str(source), target)

    def get_outputs(self, include_bytecode=1):
        own = [] if getattr(self, "editable_mode", False) else [target for _, target in self.shipped()]
        return super().get_outputs(include_bytecode) + own


setup(
    name="svg_tf",
    version=version(),
    description="Stochastic video prediction in TensorFlow and Keras: SVG, SRVP and their relatives",
    long_description=long_description(),
    long_description_content_type="text/markdown",
    author="The svg_tf authors",
    url="https://arxiv.org/abs/1802.07687",
    license="Apache-2.0",
    classifiers=[
        "Development Status :: 4 - Beta",
        "Intended Audience :: Science/Research",
        "Operating System :: POSIX :: Linux",
        "Programming Language :: Python :: 3",
        "Programming Language :: Python :: 3.10",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Topic :: Multimedia :: Video",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
        "Typing :: Typed",
    ],
    python_requires=">=3.10,<3.14",
    packages=find_packages(include=["svg_tf", "svg_tf.*", "data_pipelines", "data_pipelines.*"]),
    package_data={"svg_tf": ["py.typed", "evaluation/metrics/digit_network.*"], "data_pipelines": ["py.typed"]},
    cmdclass={"build_py": BuildWithRuns},
    install_requires=[
        "tensorflow>=2.19,<2.22",
        "keras>=3.10,<3.16",
        "tf_keras>=2.19,<2.22",
        "tensorflow-probability>=0.25,<0.26",
        "tensorflow-datasets>=4.9.9",
        "importlib_resources",
        "tensorboard>=2.19,<2.22",
        "tensorflow-metadata>=1.16",
        "etils[epath]>=1.9",
        "protobuf>=4.25",
        "google-crc32c>=1.5",
        "numpy>=1.26",
        "pillow>=10",
        "tyro>=0.9",
        "rich>=13",
        "filelock>=3.16",
    ],
    extras_require=EXTRAS,
    entry_points={
        "console_scripts": [
            "svg-tf = svg_tf.cli:main",
            "svg-data = data_pipelines.cli:main",
        ]
    },
)
