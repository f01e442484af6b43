"""`svg-tf import`, `import-lpips`, `import-i3d`: weights that others trained, from their own files. Nothing in a file is run."""

import pathlib
from dataclasses import dataclass

import tyro

_NOT_OPTIONS = ("config", "data", "data_dir", "digits_dir")
Path = tyro.conf.Positional[pathlib.Path]


@dataclass(frozen=True)
class Import:
    """Make a run directory of a published PyTorch checkpoint: SVG's model.pth, or SRVP's model.pt with its config.json."""

    file: Path
    out: pathlib.Path
    """The run directory."""
    config: str = ""
    """The program's config.json, where the file does not hold the options; empty = the one beside it."""
    data: str = ""
    """Data set of the run, e.g. kth; empty = as the checkpoint says."""
    data_dir: str = ""
    """Folder of prepared data sets, for the run's configuration."""
    digits_dir: str = ""
    """Folder of MNIST's four .gz files, for moving_mnist."""
    option: tuple[str, ...] = ()
    """NAME=VALUE: options of the family, e.g. skips=last_context for SVG; without it as the published program trained."""

    def run(self):
        own = dict(entry.partition("=")[::2] for entry in self.option)
        for name, value in own.items():
            if not name or not value or name in _NOT_OPTIONS:
                raise ValueError(f"--option takes NAME=VALUE, of the family's own options; got {f'{name}={value}'!r}.")
        from svg_tf.importing import runs

        places = {name: getattr(self, name) for name in _NOT_OPTIONS}
        done = runs.import_run(self.file, self.out, **places, **own)
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
