"""Looks for a bank's concepts in pictures: python concepts.py concepts.onnx PICTURE..."""

import json
import sys
from pathlib import Path

import numpy as np
import onnxruntime
from PIL import Image, ImageOps

session = onnxruntime.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
about = json.loads(session.get_modelmeta().custom_metadata_map["dff.compiled"])
names = [repr(one["name"] or f"concept {one['number']}") for one in about["concepts"]]
colours = np.array([list(bytes.fromhex(one["colour"][1:])) for one in about["concepts"]])
resize = about["resize"] or {"mode": "square", "pixels": 224}
outputs = ["heatmaps", "scores", {"regions": "boxes", "masks": "mask_boxes"}[about["boxes"]], "loss"]
for path in sys.argv[2:]:
    picture = ImageOps.exif_transpose(Image.open(path)).convert("RGB")
    side = {"square": None, "short": min(picture.size), "long": max(picture.size)}[resize["mode"]]
    size = [max(32, round(length * resize["pixels"] / (side or length))) for length in picture.size]
    image = np.asarray(picture.resize(size, Image.Resampling.BILINEAR))
    heat, scores, boxes, loss = (output[0] for output in session.run(outputs, {"image": image[None]}))
    print(f"{path}: loss {loss:.4f}{', not explained by these concepts' * bool(loss > (about['limit'] or 1))}")
    for name, score, box in zip(names, scores, boxes, strict=True):
        print(f"  {name} score {score:.4f} box {' '.join(map(str, box))}")
    cover, grey = heat.max(axis=0)[..., None].clip(0, 1), image.mean(axis=2, keepdims=True)
    overlay = 0.6 * grey * (1 - cover) + colours[heat.argmax(axis=0)] * cover  # the hottest concept's colour
    Image.fromarray(overlay.astype(np.uint8)).save(f"{Path(path).stem}-concepts.png")
