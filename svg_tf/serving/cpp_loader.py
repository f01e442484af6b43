"""Runs a SavedModel through TensorFlow's C++ loader (`TF_LoadSessionFromSavedModel`), the code that TensorFlow Serving
loads models with. Needs the shared library of the TensorFlow package and NumPy: no TensorFlow in Python, no project code.

python -I svg_tf/serving/cpp_loader.py JOB.json

JOB.json: {"library": folder of libtensorflow_cc.so.2, "model": SavedModel folder,
           "signatures": {name: {"inputs": {key: tensor name}, "outputs": {key: tensor name}}},
           "requests": .npz of arrays "0/SIGNATURE/KEY", "1/SIGNATURE/KEY", ..., "answers": .npz to write,
           "threads": 1 or more}
Answers are arrays "0/KEY", ..., or a JSON text under "0/error": [TF_Code, message].
"""

import ctypes
import json
import os
import pathlib
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np

# TF_DataType; strings are not needed.
DTYPES = {1: np.float32, 2: np.float64, 3: np.int32, 4: np.uint8, 9: np.int64, 10: np.bool_}
CODES = {np.dtype(kind): code for code, kind in DTYPES.items()}


class TFError(Exception):
    """A TF_Status that is not OK: args = (TF_Code, message); 3 is INVALID_ARGUMENT."""


class _Output(ctypes.Structure):
    _fields_ = [("operation", ctypes.c_void_p), ("index", ctypes.c_int)]


def _library(folder):
    library = ctypes.CDLL(str(pathlib.Path(folder) / "libtensorflow_cc.so.2"))
    pointer, text, integer, size = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int, ctypes.c_size_t
    dims = ctypes.POINTER(ctypes.c_int64)
    for name, result, arguments in (
        ("TF_NewStatus", pointer, []),
        ("TF_DeleteStatus", None, [pointer]),
        ("TF_GetCode", integer, [pointer]),
        ("TF_Message", text, [pointer]),
        ("TF_NewGraph", pointer, []),
        ("TF_NewSessionOptions", pointer, []),
        ("TF_LoadSessionFromSavedModel", pointer, [pointer, pointer, text, pointer, integer, pointer, pointer, pointer]),
        ("TF_GraphOperationByName", pointer, [pointer, text]),
        ("TF_AllocateTensor", pointer, [integer, dims, integer, size]),
        ("TF_TensorData", pointer, [pointer]),
        ("TF_TensorByteSize", size, [pointer]),
        ("TF_TensorType", integer, [pointer]),
        ("TF_NumDims", integer, [pointer]),
        ("TF_Dim", ctypes.c_int64, [pointer, integer]),
        ("TF_DeleteTensor", None, [pointer]),
        ("TF_SessionRun", None, [pointer, pointer, pointer, pointer, integer, pointer, pointer, integer,
                                 pointer, integer, pointer, pointer]),
    ):  # fmt: skip
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library


class CppModel:
    """A SavedModel in a C++ session. `run` may be called from several threads."""

    def __init__(self, library_folder, model_folder, signatures: dict):
        self._tf = tf = _library(library_folder)
        self._signatures, self._graph = signatures, tf.TF_NewGraph()
        tags = (ctypes.c_char_p * 1)(b"serve")
        with _Status(tf) as status:
            self._session = tf.TF_LoadSessionFromSavedModel(
                tf.TF_NewSessionOptions(), None, os.fsencode(model_folder), tags, 1, self._graph, None, status
            )

    def run(self, signature: str, inputs: dict) -> dict:
        """Arrays in, arrays out, by the signature's keys. Raises `TFError`."""
        tf, names = self._tf, self._signatures[signature]
        feeds = (_Output * len(inputs))(*[self._output(names["inputs"][key]) for key in inputs])
        fetches = (_Output * len(names["outputs"]))(*[self._output(name) for name in names["outputs"].values()])
        values = (ctypes.c_void_p * len(inputs))(*[self._tensor(np.asarray(value)) for value in inputs.values()])
        results = (ctypes.c_void_p * len(fetches))()
        try:
            with _Status(tf) as status:
                tf.TF_SessionRun(
                    self._session, None, feeds, values, len(feeds), fetches, results, len(fetches), None, 0, None, status
                )
            return {key: self._array(tensor) for key, tensor in zip(names["outputs"], results, strict=True)}
        finally:
            for tensor in [*values, *results]:
                if tensor:
                    tf.TF_DeleteTensor(tensor)

    def _output(self, name: str) -> _Output:
        operation, _, index = name.partition(":")
        found = self._tf.TF_GraphOperationByName(self._graph, operation.encode())
        if not found:
            raise ValueError(f"The loaded graph has no operation {operation!r}.")
        return _Output(found, int(index or 0))

    def _tensor(self, array):
        array = np.asarray(array, order="C")
        dims = (ctypes.c_int64 * array.ndim)(*array.shape)
        tensor = self._tf.TF_AllocateTensor(CODES[array.dtype], dims, array.ndim, array.nbytes)
        if array.nbytes:
            ctypes.memmove(self._tf.TF_TensorData(tensor), array.ctypes.data, array.nbytes)
        return tensor

    def _array(self, tensor) -> np.ndarray:
        tf = self._tf
        shape = [tf.TF_Dim(tensor, i) for i in range(tf.TF_NumDims(tensor))]
        content = ctypes.string_at(tf.TF_TensorData(tensor), tf.TF_TensorByteSize(tensor))
        return np.frombuffer(content, DTYPES[tf.TF_TensorType(tensor)]).reshape(shape)


class _Status:
    """with _Status(library) as status: a call that takes a TF_Status; raises `TFError` at the end if it is not OK."""

    def __init__(self, tf):
        self._tf = tf

    def __enter__(self):
        self._status = self._tf.TF_NewStatus()
        return self._status

    def __exit__(self, *_):
        code, message = self._tf.TF_GetCode(self._status), self._tf.TF_Message(self._status).decode(errors="replace")
        self._tf.TF_DeleteStatus(self._status)
        if code:
            raise TFError(code, message)


def main(job_file: str) -> int:
    job = json.loads(pathlib.Path(job_file).read_text())
    requests: dict[int, tuple[str, dict]] = {}
    with np.load(job["requests"], allow_pickle=False) as file:
        for name in file.files:
            number, signature, key = name.split("/")
            requests.setdefault(int(number), (signature, {}))[1][key] = file[name]
    model = CppModel(job["library"], job["model"], job["signatures"])

    def answer(number):
        try:
            return {f"{number}/{key}": array for key, array in model.run(*requests[number]).items()}
        except TFError as error:
            return {f"{number}/error": np.array(json.dumps(error.args))}

    with ThreadPoolExecutor(job.get("threads", 1)) as pool:
        answers = [item for part in pool.map(answer, sorted(requests)) for item in part.items()]
    if {"tensorflow", "keras", "svg_tf", "data_pipelines"} & {name.partition(".")[0] for name in sys.modules}:
        raise RuntimeError("This process was to run without TensorFlow in Python and without project code.")
    np.savez(job["answers"], **dict(answers))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
