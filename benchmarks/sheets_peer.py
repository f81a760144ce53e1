"""PP-OCRv6 small with its detector, for benchmarks/sheets.py: reads paths on stdin, writes a JSON line for each.

    python -m venv peer && peer/bin/pip install rapidocr==3.10.0 onnxruntime

It runs in that environment and uses nothing of hanmo. A line has the boxes (4 corners each), their texts and the
seconds that reading took, without the start of the process.
"""

from __future__ import annotations

import json
import logging
import sys
import time


def main() -> None:
    threads = int(sys.argv[1])
    from rapidocr import RapidOCR  # type: ignore[import-not-found]

    logging.disable(logging.WARNING)
    engine = RapidOCR(
        params={
            "EngineConfig.onnxruntime.intra_op_num_threads": threads,
            "EngineConfig.onnxruntime.inter_op_num_threads": 1,
            "Global.log_level": "error",
        }
    )
    for line in sys.stdin:
        start = time.perf_counter()
        result = engine(line.rstrip("\n"))
        seconds = time.perf_counter() - start
        boxes = [] if result.boxes is None else [box.tolist() for box in result.boxes]
        print(json.dumps({"boxes": boxes, "texts": list(result.txts or ()), "seconds": seconds}), flush=True)


if __name__ == "__main__":
    main()
