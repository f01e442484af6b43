"""`svg-tf import`, `import-lpips`, `import-i3d`: weights that others trained, from their own files. Nothing in a file is run."""

import pathlib
from dataclasses import dataclass
from typing import Literal

import tyro

Path = tyro.conf.Positional[pathlib.Path]


@dataclass(frozen=True)
class Import:
    """Make a run directory of a checkpoint of the PyTorch references of SVG (model.pth) or SRVP (model.pt and config.json)."""

    file: Path
    out: pathlib.Path
    """The run directory."""
    config: str = ""
    """SRVP's config.json; empty = the one beside the file."""
    data: str = ""
    """Data set of the run, e.g. kth; empty = as the checkpoint says."""
    data_dir: str = ""
    """Folder of prepared data sets, for the run's configuration."""
    digits_dir: str = ""
    """Folder of MNIST's four .gz files, for moving_mnist."""
    skips: Literal["", "last_context", "second_last_context", "previous"] = ""
    """SVG: the frame whose maps the decoder sees; empty = as the reference trained."""

    def run(self):
        from svg_tf.importing import runs

        own = {name: getattr(self, name) for name in ("config", "data", "data_dir", "digits_dir", "skips")}
        done = runs.import_run(self.file, self.out, **own)
        print(f"{self.out}: {done.experiment.model.summary}, {done.experiment.data.name}, step {done.step}")
        print(f"{self.file.name}: SHA-256 {done.facts['sha256']}, {done.facts['container']} container")


@dataclass(frozen=True)
class ImportLPIPS:
    """Make the weight file of LPIPS (--lpips) of torchvision's AlexNet and the v0.1 heads of the lpips package."""

    alexnet: Path
    """alexnet-owt-7be5be79.pth"""
    heads: Path
    """lpips/weights/v0.1/alex.pth"""
    out: pathlib.Path
    """An .npz file."""

    def run(self):
        from svg_tf.evaluation.metrics.perceptual import checksum
        from svg_tf.importing import lpips

        for source in lpips.import_lpips(self.alexnet, self.heads, self.out).values():
            known = f", {source['published_as']}" if source["published_as"] else ""
            print(f"{source['file']}: SHA-256 {source['sha256']}{known}")
        print(f"{self.out}: SHA-256 {checksum(self.out)}")


@dataclass(frozen=True)
class ImportI3D:
    """Make the network of FVD (--fvd) of I3D's Kinetics-400 weights: i3d_torchscript.pt, a PyTorch state dict, the TensorFlow
    checkpoint, or TF-Hub's SavedModel."""

    file: Path
    """The file; of a TensorFlow checkpoint its prefix or folder."""
    out: pathlib.Path
    """The network's folder."""

    def run(self):
        from svg_tf.evaluation.metrics.perceptual import checksum
        from svg_tf.importing import i3d

        facts = i3d.import_i3d(self.file, self.out)
        print(f"{facts['source']}: SHA-256 {facts['source_sha256']}, {facts['form']}")
        print(f"{self.out}: SHA-256 {checksum(self.out)}, frames resized as {facts['resize']}")


COMMANDS = {"import": Import, "import-lpips": ImportLPIPS, "import-i3d": ImportI3D}
