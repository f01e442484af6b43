"""Trains an experiment. Arguments: run directory, JSON of the experiment, a signal to send itself, after which step, devices.

devices > 1: as a machine with several GPUs, for `multi_worker`, whose strategy takes one CPU of a machine by itself.
"""

import os
import sys

import keras
import tensorflow as tf

from svg_tf import config, training
from svg_tf.training import callbacks, multi_worker


class Signal(keras.callbacks.Callback):
    def __init__(self, number, step):
        super().__init__()
        self.number, self.step = number, step

    def on_train_batch_end(self, batch, logs=None):
        if self.model.step == self.step:
            os.kill(os.getpid(), self.number)


def split_cpu(devices):
    from tensorflow.python.distribute.collective_all_reduce_strategy import CollectiveAllReduceExtended

    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * devices)

    def local_devices(self, resolver, worker_device):
        return tuple(f"{worker_device}/device:CPU:{i}" for i in range(devices)), "CPU"

    CollectiveAllReduceExtended._initialize_local_devices = local_devices


def main(run_dir, file, number="0", step="0", devices="1"):
    if int(devices) > 1:
        split_cpu(int(devices))
    with open(file, encoding="utf-8") as opened:
        experiment = config.from_json(config.ExperimentConfig, opened.read())
    try:
        training.train(experiment, run_dir, verbose=False, callbacks=[Signal(int(number), int(step))])
    except (callbacks.Preempted, multi_worker.WorkerLost) as stopped:
        print(stopped, file=sys.stderr)
        return 75
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
