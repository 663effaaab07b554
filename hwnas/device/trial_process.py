"""Load ONNX files from standard input and run each once on zeros: a script, in a process that may die of it.

    python trial_process.py SECONDS BYTES < files      each file behind its length in 8 bytes; a line for each that did no harm

It stands alone, like the agent: numpy and onnxruntime, nothing of hwnas. Limits of memory and, for each file, of time are this
process's own. A file that ONNX Runtime refuses does no harm: whoever opens it next says so in his own words. Exit code 3: the
file behind the last line wants more memory than it may have.
"""

import signal
import struct
import sys

TOO_LARGE = 3
# What ONNX Runtime says where it gets no memory.
NO_MEMORY = ("bad_alloc", "Failed to allocate", "cannot allocate", "Unable to allocate")


def limit_memory(size: int) -> None:
    """Get no more than so many bytes, and leave no core behind."""
    if sys.platform == "win32":
        return
    import resource

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (size, size))


def limit_time(seconds: int) -> None:
    """Die after so many seconds from now."""
    if sys.platform != "win32":
        signal.signal(signal.SIGALRM, signal.SIG_DFL)  # a handler of Python's would wait for ONNX Runtime
        signal.alarm(seconds)


def harmless(model: bytes) -> bool:
    """Load and run a file; False where there is not memory enough."""
    import numpy as np
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    kinds = {"float": np.float32, "float16": np.float16, "double": np.float64, "int64": np.int64, "int32": np.int32,
             "uint8": np.uint8, "int8": np.int8, "bool": np.bool_}  # fmt: skip
    try:
        session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        images: dict[str, object] = {
            put.name: np.zeros(
                [size if isinstance(size, int) and size > 0 else 1 for size in put.shape],
                kinds.get(put.type.removeprefix("tensor(").removesuffix(")"), np.float32),
            )
            for put in session.get_inputs()
        }
        session.run(None, images)
    except Exception as error:  # noqa: BLE001 (whatever a foreign file makes of it: the command itself says what is wrong)
        return not (isinstance(error, MemoryError) or any(words in str(error) for words in NO_MEMORY))
    return True


def main() -> int:
    """Try the files; gives the exit code."""
    import numpy  # noqa: F401 (before memory is limited)
    import onnxruntime  # noqa: F401

    limit_memory(int(sys.argv[2]))
    while header := sys.stdin.buffer.read(8):
        model = sys.stdin.buffer.read(struct.unpack("<q", header)[0])
        limit_time(int(sys.argv[1]))
        if not harmless(model):
            return TOO_LARGE
        sys.stdout.write("\n")
        sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
