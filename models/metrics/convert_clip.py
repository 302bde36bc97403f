"""CLIP's image and text encoders as ONNX graphs, with its tokenizer: what the CLIP score needs.

    python convert_clip.py --model FOLDER --name openai/clip-vit-base-patch32 --out FOLDER
    python convert_clip.py --verify-random                     # compares graphs of a small random CLIP with transformers, writes nothing

--model  a folder with pytorch_model.bin, config.json, vocab.json, merges.txt, tokenizer_config.json of that name on huggingface.co
--name   openai/clip-vit-base-patch32 (what papers on acceleration use) or openai/clip-vit-large-patch14 (torchmetrics' default)
"""

import argparse
import json
import shutil
from pathlib import Path

import numpy as np
import torch
from onnx import TensorProto

from network_files import Graph, compare, published, run, write

NETWORKS = {"openai/clip-vit-base-patch32": "clip-vit-b-32", "openai/clip-vit-large-patch14": "clip-vit-l-14"}
TOKENIZER = ("vocab.json", "merges.txt", "tokenizer_config.json")


class Encoder:
    """A transformer of CLIP, from a state dict, its tensors named as transformers names them."""

    def __init__(self, state, name, heads, epsilon):
        self.state = {key: value.float().numpy() for key, value in state.items() if value.is_floating_point()}
        self.name, self.heads, self.epsilon = name, heads, epsilon
        self.graph = Graph(name)

    def weight(self, name):
        return self.graph.weight(self.state[name])

    def linear(self, x, name, bias=True):
        made = self.graph.node("MatMul", x, self.graph.weight(self.state[f"{name}.weight"].T))
        return self.graph.node("Add", made, self.weight(f"{name}.bias")) if bias else made

    def norm(self, x, name):
        return self.graph.node(
            "LayerNormalization", x, self.weight(f"{name}.weight"), self.weight(f"{name}.bias"), epsilon=self.epsilon
        )

    def heads_of(self, x, order):
        split = self.graph.node("Reshape", x, self.graph.integers([0, 0, self.heads, -1]))
        return self.graph.node("Transpose", split, perm=order)

    def attention(self, x, name, mask):
        q = self.heads_of(self.linear(x, f"{name}.q_proj"), [0, 2, 1, 3])
        k = self.heads_of(self.linear(x, f"{name}.k_proj"), [0, 2, 3, 1])
        v = self.heads_of(self.linear(x, f"{name}.v_proj"), [0, 2, 1, 3])
        width = self.state[f"{name}.q_proj.weight"].shape[0]
        scores = self.graph.node("Mul", self.graph.node("MatMul", q, k), self.graph.weight((width / self.heads) ** -0.5))
        if mask is not None:
            scores = self.graph.node("Add", scores, mask)
        mixed = self.graph.node("MatMul", self.graph.node("Softmax", scores, axis=-1), v)
        merged = self.graph.node("Transpose", mixed, perm=[0, 2, 1, 3])
        return self.linear(self.graph.node("Reshape", merged, self.graph.integers([0, 0, -1])), f"{name}.out_proj")

    def layers(self, x, mask=None):
        count = len({key.split(".")[3] for key in self.state if key.startswith(f"{self.name}.encoder.layers.")})
        for k in range(count):
            layer = f"{self.name}.encoder.layers.{k}"
            x = self.graph.node("Add", x, self.attention(self.norm(x, f"{layer}.layer_norm1"), f"{layer}.self_attn", mask))
            h = self.linear(self.norm(x, f"{layer}.layer_norm2"), f"{layer}.mlp.fc1")
            gate = self.graph.node("Sigmoid", self.graph.node("Mul", h, self.graph.weight(1.702)))  # quick_gelu
            x = self.graph.node("Add", x, self.linear(self.graph.node("Mul", h, gate), f"{layer}.mlp.fc2"))
        return x

    def finish(self, x, projection):
        width = self.state[f"{projection}.weight"].shape[0]
        self.graph.output("embedding", self.linear(x, projection, bias=False), ["rows", width])
        return self.graph.model()


def image_graph(state, heads, epsilon):
    """Input: `picture` [rows, 3, size, size], normalised."""
    encoder = Encoder(state, "vision_model", heads, epsilon)
    graph, embeddings = encoder.graph, "vision_model.embeddings"
    kernel = encoder.state[f"{embeddings}.patch_embedding.weight"]
    positions = encoder.state[f"{embeddings}.position_embedding.weight"]
    patch, width = kernel.shape[2], kernel.shape[0]
    size = patch * round((positions.shape[0] - 1) ** 0.5)
    x = graph.input("picture", ["rows", 3, size, size])
    x = graph.convolution(x, kernel, np.zeros(width), [patch] * 2, [0, 0])
    x = graph.node("Reshape", x, graph.integers([0, 0, -1]))
    first = encoder.state[f"{embeddings}.class_embedding"].reshape(1, width, 1)
    # The class embedding once per row: a column of the patches, times zero, plus it.
    column = graph.node("Slice", x, graph.integers([0]), graph.integers([1]), graph.integers([2]))
    column = graph.node("Add", graph.node("Mul", column, graph.weight(0)), graph.weight(first))
    x = graph.node("Transpose", graph.node("Concat", column, x, axis=2), perm=[0, 2, 1])
    x = encoder.norm(graph.node("Add", x, graph.weight(positions)), "vision_model.pre_layrnorm")
    x = encoder.layers(x)
    pooled = graph.node("Gather", x, graph.integers(0), axis=1)
    return encoder.finish(encoder.norm(pooled, "vision_model.post_layernorm"), "visual_projection"), size


def text_graph(state, heads, epsilon, end):
    """Input: `ids` [rows, length]; `end`: the id of the end token, at whose first place the text is read off."""
    encoder = Encoder(state, "text_model", heads, epsilon)
    graph, embeddings = encoder.graph, "text_model.embeddings"
    positions = encoder.state[f"{embeddings}.position_embedding.weight"]
    length = positions.shape[0]
    ids = graph.input("ids", ["rows", length], TensorProto.INT64)
    x = graph.node("Gather", encoder.weight(f"{embeddings}.token_embedding.weight"), ids, axis=0)
    x = graph.node("Add", x, graph.weight(positions))
    causal = np.triu(np.full((length, length), np.finfo(np.float32).min, np.float32), 1)
    x = encoder.norm(encoder.layers(x, graph.weight(causal)), "text_model.final_layer_norm")
    is_end = graph.node("Cast", graph.node("Equal", ids, graph.integers(end)), to=TensorProto.FLOAT)
    at = graph.node("ArgMax", is_end, axis=1, keepdims=1)  # [rows, 1]: the first of the largest
    indices = graph.node("Unsqueeze", at, graph.integers([2]))
    shape = graph.node("Concat", graph.integers([1, 1]), graph.node("Shape", x, start=2), axis=0)
    picked = graph.node("GatherElements", x, graph.node("Tile", indices, shape), axis=1)
    return encoder.finish(graph.node("Squeeze", picked, graph.integers([1])), "text_projection"), length


def graphs_of(state, config):
    """The two graphs, and what the package must know of them. `config`: that of transformers' CLIPModel."""
    vision, text = config.vision_config, config.text_config
    if {vision.hidden_act, text.hidden_act} != {"quick_gelu"}:
        raise SystemExit("This CLIP has another activation than OpenAI's.")
    end = text.vocab_size - 1  # OpenAI's last token; configurations of its time state a 2 that was never meant
    image, size = image_graph(state, vision.num_attention_heads, vision.layer_norm_eps)
    words, length = text_graph(state, text.num_attention_heads, text.layer_norm_eps, end)
    return {"image": image, "text": words}, {"size": size, "length": length, "embedding": config.projection_dim}


def verify(graphs, fields, model):
    """Compares unit embeddings with those of transformers' CLIPModel."""
    generator = torch.Generator().manual_seed(0)
    end = model.config.text_config.vocab_size - 1
    pictures = torch.randn(2, 3, fields["size"], fields["size"], generator=generator)
    ids = torch.randint(0, end, (2, fields["length"]), generator=generator)
    ids[0, 5:], ids[1, -1] = end, end
    with torch.no_grad():
        expected = model.eval()(input_ids=ids, pixel_values=pictures)
    unit = lambda x: x / np.linalg.norm(x, axis=-1, keepdims=True)  # noqa: E731
    compare("image embedding", unit(run(graphs["image"], picture=pictures.numpy())[0]), expected.image_embeds.numpy(), 1e-4)
    compare("text embedding", unit(run(graphs["text"], ids=ids.numpy())[0]), expected.text_embeds.numpy(), 1e-4)


def random_model(seed, vocabulary=400):
    """A CLIP of 2 layers and 32 channels, whose weights and norms all matter."""
    from transformers import CLIPConfig, CLIPModel

    text = {"vocab_size": vocabulary, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2}
    text |= {"num_attention_heads": 2, "max_position_embeddings": 77, "eos_token_id": vocabulary - 1, "bos_token_id": vocabulary - 2}
    vision = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
    vision |= {"image_size": 56, "patch_size": 14}
    config = CLIPConfig(text_config=text, vision_config=vision, projection_dim=16)
    model = CLIPModel(config).eval().requires_grad_(False)
    generator = torch.Generator().manual_seed(seed)
    for parameter in model.parameters():
        # Half precision, so that what is recorded does not hang on the last bit.
        parameter.copy_((torch.randn(parameter.shape, generator=generator) * 0.25).half().float())
    return model


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model")
    parser.add_argument("--name", choices=NETWORKS)
    parser.add_argument("--out")
    parser.add_argument("--verify-random", action="store_true")
    arguments = parser.parse_args()
    if arguments.verify_random:
        model = random_model(0)
        verify(*graphs_of(model.state_dict(), model.config), model)
        return
    if None in (arguments.model, arguments.name, arguments.out):
        parser.error("--model, --name and --out are needed")
    from transformers import CLIPConfig, CLIPModel

    folder, network = Path(arguments.model), NETWORKS[arguments.name]
    sources = {"network": published(folder / "pytorch_model.bin", f"{arguments.name}/pytorch_model.bin")}
    state = torch.load(folder / "pytorch_model.bin", map_location="cpu", weights_only=True)
    config = CLIPConfig(**json.loads((folder / "config.json").read_text()))
    model = CLIPModel(config)
    model.load_state_dict(state, strict=False)
    graphs, fields = graphs_of(state, config)
    verify(graphs, fields, model)
    # Before the sidecar: where that is, nothing is missing.
    tokenizer = Path(arguments.out) / f"{network}.tokenizer"
    tokenizer.mkdir(parents=True, exist_ok=True)
    for file in TOKENIZER:
        shutil.copyfile(folder / file, tokenizer / file)
    write(arguments.out, network, sources, graphs, model=arguments.name, tokenizer=tokenizer.name, **fields)


if __name__ == "__main__":
    main()
