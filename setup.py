import pathlib

from setuptools import find_packages, setup

EXTRAS = {
    "demo": ["scikit-learn>=1.5"],
    "video": ["av>=14"],
    "beam": ["apache-beam>=2.65", "google-crc32c>=1.5"],
    "serving": ["tensorflow-serving-api>=2.19,<2.22", "requests>=2.31"],
    "plots": ["matplotlib>=3.8"],
    "dev": ["pytest>=8", "pytest-xdist>=3.6", "ruff>=0.8", "scikit-image>=0.24"],
}
EXTRAS["all"] = sorted({requirement for extra in EXTRAS.values() for requirement in extra})

setup(
    name="svg_tf",
    version="0.1.0",
    description="Stochastic Video Generation with a Learned Prior in TensorFlow and Keras",
    long_description=pathlib.Path("README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.10,<3.13",
    packages=find_packages(include=["svg_tf", "svg_tf.*", "data_pipelines", "data_pipelines.*"]),
    install_requires=[
        "tensorflow>=2.19,<2.22",
        "keras>=3.10,<3.16",
        "tf_keras>=2.19,<2.22",
        "tensorflow-probability>=0.25,<0.26",
        "tensorflow-datasets>=4.9.9",
        "importlib_resources",
        "tensorboard>=2.19,<2.22",
        "tensorflow-metadata>=1.16",
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
