"""List compute processes and used memory of every GPU as one JSON line, then exit.

Run as `python -m supervisor.probes.nvml` in a process of its own that may be killed: NVML calls
hang in the field.
"""

import json
import sys

import pynvml

NO_LIBRARY = "no_library"


def look() -> dict[str, object]:
    """`{"gpus": [{"index", "used_bytes", "total_bytes", "pids"}]}` or `{"error": …}`."""
    try:
        pynvml.nvmlInit()
        return {"gpus": [_device(index) for index in range(pynvml.nvmlDeviceGetCount())]}
    except pynvml.NVMLError_LibraryNotFound:
        return {"error": NO_LIBRARY}
    except pynvml.NVMLError as error:
        return {"error": str(error)}


def _device(index: int) -> dict[str, object]:
    handle = pynvml.nvmlDeviceGetHandleByIndex(index)
    memory = pynvml.nvmlDeviceGetMemoryInfo(handle)
    processes = pynvml.nvmlDeviceGetComputeRunningProcesses(handle)
    return {
        "index": index,
        "used_bytes": int(memory.used),
        "total_bytes": int(memory.total),
        "pids": [int(process.pid) for process in processes],
    }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(look()) + "\n")
