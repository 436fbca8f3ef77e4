"""Code that runs an exported network without spos, for the model card."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

_PIXELS = """

def pixels(path):
    image = ImageOps.exif_transpose(Image.open(path)).convert("RGBA")
    white = Image.new("RGBA", image.size, "white")
    image = Image.alpha_composite(white, image).convert("{mode}")
    part = {side} * min(image.size) / {resized}
    left, top = ((length - part) / 2 for length in image.size)
    box = (left, top, left + part, top + part)
    image = image.resize(({side}, {side}), Image.Resampling.BICUBIC, box)
    return {array}


"""
_IMPORTS = {
    "onnx": """import json

import numpy as np
import onnxruntime
from PIL import Image, ImageOps
""",
    "torch-export": """import json

import numpy as np
import torch
from PIL import Image, ImageOps
""",
    "state-dict": """import json

import numpy as np
import torch
from PIL import Image, ImageOps
from safetensors import safe_open
from safetensors.torch import load_file

from {module} import Network  # {module}.py, beside the weights
""",
}
_RUN = {
    "onnx": """session = onnxruntime.InferenceSession("{name}")
facts = session.get_modelmeta().custom_metadata_map
outputs = session.run(None, {{"images": pixels("image.png")}})[0]
""",
    "torch-export": """held = {{"spos.json": ""}}
network = torch.export.load("{name}", extra_files=held).module()  # only files you trust
facts = json.loads(held["spos.json"])
outputs = network(torch.from_numpy(pixels("image.png"))).detach().numpy()
""",
    "state-dict": """network = Network()
network.load_state_dict(load_file("{name}"))
network.eval()
with safe_open("{name}", "pt") as file:
    facts = json.loads(file.metadata()["spos"])
outputs = network(torch.from_numpy(pixels("image.png"))).detach().numpy()
""",
}


def snippet(facts: Mapping[str, Any], name: str) -> str:
    """The code, fenced, with the command of spos that does the same where there is one.

    Args:
        facts: of the export.
        name: of the file.
    """
    metadata, form = facts["metadata"], facts["format"]
    grey = metadata["channels"] == 1
    array = "np.array(image)[None, None]" if grey else "np.array(image).transpose(2, 0, 1)[None]"
    end = "print(outputs[0])"
    if metadata["classes"]:
        end = 'print(json.loads(facts["classes"])[outputs[0].argmax()])'
    code = (
        _IMPORTS[form].format(module=PurePath(name).stem)
        + _PIXELS.format(
            mode="L" if grey else "RGB",
            side=metadata["image_size"],
            resized=metadata["resized_side"],
            array=array,
        )
        + _RUN[form].format(name=name)
        + end
    )
    command = {"onnx": f"spos predict {name}", "torch-export": f"spos predict --trust {name}"}
    own = ""
    if metadata["classes"] and form in command:
        own = f"    {command[form]} image.png\n\nWithout spos:\n\n"
    return f"{own}```python\n{code}\n```"
