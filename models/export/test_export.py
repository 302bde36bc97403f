"""Properties of the exporter, on the tiny models. Run: cd models && python -m unittest export.test_export"""

import json
import tempfile
import unittest
from collections import Counter
from pathlib import Path
from unittest import mock

import numpy as np
import onnx
import torch
from diffusers import AutoencoderTiny, ControlNetModel, ControlNetUnionModel, SD3Transformer2DModel, StableDiffusion3Pipeline, StableDiffusionPipeline, UNet2DConditionModel
from onnx import numpy_helper
from onnx.reference import ReferenceEvaluator
from peft import LoraConfig
from peft.utils import get_peft_model_state_dict
from safetensors.torch import load_file, save_file

from . import families, tiny
from .__main__ import check_folders, file_and_scale, fold, load, main
from .flux_stages import flux_plan
from .graph import tensors_of, trace
from .parts import flux_part, pixart_part, sd3_part, text_part, unet_part
from .plan_file import traced
from .pixart_stages import pixart_plan
from .sd3_stages import sd3_plan
from .stages import reusable
from .unet_stages import unet_plan
from .verify import Disagreement, Overflow, agreed, session


def settings_of(network: torch.nn.Module) -> dict[str, object]:
    """What a network of diffusers is made with; its `from_config` takes no other value for what was left at its default."""
    return {key: value for key, value in network.config.items() if not key.startswith("_")}


class Export(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        torch.manual_seed(0)

    def test_a_file_that_disagrees_is_refused(self) -> None:
        """One weight of the written graph is changed by a tenth of its range."""
        unet = tiny.sd2(self.folder / "source").unet

        def spoiled(part, dtype):
            model = trace(part)
            tensor = max(tensors_of(model), key=lambda one: len(one.raw_data))
            values = numpy_helper.to_array(tensor).copy()
            values.flat[0] += 0.1 * np.ptp(values) * values.size**0.5
            tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
            return model

        for place in ("families", "plan_file"):
            with self.subTest(place), mock.patch(f"export.{place}.traced", spoiled), self.assertRaises(Disagreement):
                families.write(unet_part(unet), self.folder / "unet", "fp32", staged=True)
            self.assertFalse((self.folder / "unet").exists())

    def test_without_weights_the_graph_is_the_same(self) -> None:
        """Networks whose weights are all zeros, so that tensors of one shape look like one tensor."""
        networks = {"unet": unet_part(tiny.sdxl(self.folder / "sdxl").unet), "transformer": flux_part(tiny.flux(self.folder / "flux").transformer)}
        for name, part in networks.items():
            for dtype in ("fp32", "fp16"):
                whole = traced(part, dtype)
                for value in part.module.parameters():
                    torch.nn.init.zeros_(value)
                found = traced(part, dtype, weights=False)
                with self.subTest(name, dtype=dtype):
                    self.assertEqual(*([(node.op_type, len(node.input)) for node in model.graph.node] for model in (whole, found)))
                    self.assertEqual(*(Counter((one.data_type, *one.dims) for one in model.graph.initializer) for model in (whole, found)))
                    self.assertFalse(any(one.raw_data for one in found.graph.initializer))
                tiny.lively(part.module, 1)

    def test_a_plan_that_remembers_too_little_is_refused(self) -> None:
        unet = tiny.sd2(self.folder / "source").unet

        def forgetful(stages, entries):
            return [{**one, "remembers": one["remembers"][:-1]} for one in reusable(stages, entries)]

        with mock.patch("export.unet_stages.reusable", forgetful), self.assertRaises(KeyError):
            families.write(unet_part(unet), self.folder / "unet", "fp32", staged=True)

    def test_a_network_that_projects_the_text_takes_the_text_encoder_s_features(self) -> None:
        own = settings_of(tiny.sd2(self.folder / "source").unet)
        unet = tiny.lively(UNet2DConditionModel(**own | {"encoder_hid_dim": 32, "encoder_hid_dim_type": "text_proj", "cross_attention_dim": 24}), 1)
        families.write(unet_part(unet), self.folder / "unet", "fp32", staged=True)
        inputs = {one.name: one for one in onnx.load(self.folder / "unet/model.onnx", load_external_data=False).graph.input}
        self.assertEqual(inputs["encoder_hidden_states"].type.tensor_type.shape.dim[2].dim_value, 32)

    def test_a_network_whose_halves_are_rounded_down_stays_whole(self) -> None:
        own = settings_of(tiny.sd2(self.folder / "source").unet)
        unet = tiny.lively(UNet2DConditionModel(**own | {"downsample_padding": 0}), 1)
        families.write(unet_part(unet), self.folder / "unet", "fp32", staged=True)
        self.assertFalse((self.folder / "unet/plan.json").exists())

    def test_settings_of_the_autoencoder_are_its_own(self) -> None:
        """Also beside an older ONNX export in the source, whichever the file system lists first."""
        source = self.folder / "source"
        for name in ("vae", "vae_decoder", "vae_encoder"):
            (source / name).mkdir(parents=True)
            (source / name / "config.json").write_text(name)
        listed = sorted(source.rglob("*"))
        for k, order in enumerate((listed, listed[::-1])):
            with mock.patch("pathlib.Path.rglob", return_value=order):
                families.copy_settings(source, self.folder / str(k))
            for name in families.VAE_PARTS:
                self.assertEqual((self.folder / str(k) / name / "config.json").read_text(), "vae")

    def test_patches_of_any_size(self) -> None:
        for patch in (1, 4):
            whole = SD3Transformer2DModel(**settings_of(tiny.sd3(self.folder / str(patch)).transformer) | {"patch_size": patch})
            families.write(sd3_part(tiny.lively(whole, 1, 0.7)), self.folder / f"transformer_{patch}", "fp32", staged=True)

    def test_stages_add_no_weights_to_the_file_of_the_whole(self) -> None:
        part = flux_part(tiny.flux(self.folder / "source").transformer)
        sizes = []
        for staged in (False, True):
            families.write(part, self.folder / str(staged), "fp32", staged)
            sizes.append((self.folder / str(staged) / "model.onnx_data").stat().st_size)
        self.assertEqual(sizes[0], sizes[1])

    def test_plan_names_only_tensors_that_earlier_stages_or_the_caller_make(self) -> None:
        unets = (tiny.sd2(self.folder / "a").unet, tiny.sdxl(self.folder / "b").unet, tiny.musicldm(self.folder / "c").unet)
        transformers = ((flux_plan, tiny.flux), (pixart_plan, tiny.pixart), (sd3_plan, tiny.sd3))
        plans = [*map(unet_plan, unets), *(plan_of(tiny_of(self.folder / tiny_of.__name__).transformer) for plan_of, tiny_of in transformers)]
        for plan in plans:
            made = set(plan.inputs)
            for stage in plan.stages:
                self.assertLessEqual(set(stage.inputs), made)
                made |= set(stage.outputs)
            self.assertLessEqual(made, set(plan.shapes))

    def test_transformers_of_too_few_blocks_for_their_stages_stay_whole(self) -> None:
        few = {"flux": {"num_single_layers": 0}, "pixart": {"num_layers": 1}, "sd3": {"num_layers": 1, "dual_attention_layers": ()}}
        parts = {"flux": flux_part, "pixart": pixart_part, "sd3": sd3_part}
        for name, fields in [("flux", {"num_layers": 1}), *few.items()]:
            whole = getattr(tiny, name)(self.folder / name).transformer
            part = parts[name](tiny.lively(type(whole).from_config({**whole.config, **fields}), 1, 0.7))
            with self.subTest(name, **fields), tempfile.TemporaryDirectory() as folder:
                families.write(part, Path(folder) / "transformer", "fp32", staged=True)
                self.assertEqual({path.name for path in Path(folder, "transformer").iterdir()}, {"model.onnx", "model.onnx_data"})

    def test_operations_of_a_transformer_block(self) -> None:
        """Counted by hand for SD 2's: width 16, text of 77 × 32."""
        families.write(unet_part(tiny.sd2(self.folder / "source").unet), self.folder / "unet", "fp32", staged=True)
        plan = json.loads((self.folder / "unet/plan.json").read_text())
        [block] = [stage for stage in plan["stages"] if stage["name"] == "down_0_0_tokens"]
        linear = 2 * 16 * 16
        per_token = 2 * linear + 4 * linear + 2 * linear + (8 + 4) * linear + 4 * 77 * 16
        self.assertEqual(block["flops"], {"fixed": 2 * 77 * 2 * 32 * 16, "per_token": per_token, "per_token_pair": 4 * 16})

    def test_half_precision_halves_weights_and_keeps_times_and_text_positions_whole(self) -> None:
        part = flux_part(tiny.flux(self.folder / "source").transformer)
        data = {}
        for dtype in ("fp32", "fp16", "bf16"):
            families.write(part, self.folder / dtype, dtype, staged=False)
            data[dtype] = (self.folder / dtype / "model.onnx_data").stat().st_size
            model = onnx.load(self.folder / dtype / "model.onnx", load_external_data=False)
            types = {one.name: one.type.tensor_type.elem_type for one in model.graph.input}
            for name in ("timestep", "guidance", "img_ids", "txt_ids"):
                self.assertEqual(types[name], onnx.TensorProto.FLOAT, name)
        self.assertLess(data["fp16"], 0.55 * data["fp32"])
        self.assertLess(data["bf16"], 0.55 * data["fp32"])

    def test_half_precision_leaves_no_casts_of_a_type_to_itself(self) -> None:
        """ONNX Runtime 1.30 refuses networks with them on the CPU."""
        families.write(flux_part(tiny.flux(self.folder / "source").transformer), self.folder / "flux", "fp16", staged=True)
        for path in self.folder.glob("flux/*.onnx"):
            model = onnx.shape_inference.infer_shapes(onnx.load(path, load_external_data=False))
            graph = model.graph
            types = {one.name: one.type.tensor_type.elem_type for one in (*graph.input, *graph.output, *graph.value_info)}
            types |= {tensor.name: tensor.data_type for tensor in graph.initializer}
            idle = [node.name for node in graph.node if node.op_type in ("Cast", "CastLike") and types[node.input[0]] == types[node.output[0]]]
            self.assertEqual(idle, [], path.name)

    def test_networks_in_bf16_have_operators_of_its_type_alone(self) -> None:
        """A file that is no valid ONNX is refused by every runtime, whatever kernels it has."""
        parts = {"unet": unet_part(tiny.sd2(self.folder / "sd2").unet), "transformer": pixart_part(tiny.pixart(self.folder / "pixart").transformer)}
        for name, part in parts.items():
            families.write(part, self.folder / name, "bf16", staged=False)
            for file in (self.folder / name).glob("*.onnx"):
                with self.subTest(str(file.relative_to(self.folder))):
                    onnx.checker.check_model(str(file), full_check=True)

    def test_text_encoders_beside_a_network_in_bf16_load_on_the_cpu(self) -> None:
        """Where they run, whatever runs the network."""
        families.export(tiny.flux(self.folder / "source"), self.folder / "source", self.folder / "flux", "bf16", staged=False)
        for name in ("text_encoder", "text_encoder_2"):
            session(self.folder / "flux" / name / "model.onnx")
        types = {tensor.data_type for tensor in onnx.load(self.folder / "flux/transformer/model.onnx", load_external_data=False).graph.initializer}
        self.assertIn(onnx.TensorProto.BFLOAT16, types)

    def test_half_precision_takes_the_norms_of_large_activations(self) -> None:
        """In arithmetic that is half where the file says so, which that of ONNX Runtime on the CPU is not."""
        encoder = tiny.pixart(self.folder / "source").text_encoder
        with torch.no_grad():
            encoder.shared.weight *= 2000
        part = text_part("text_encoder", encoder, 24, ["last_hidden_state"], masked=True)
        self.assertGreater(encoder.shared.weight.square().mean().sqrt(), 256)
        families.write(part, self.folder / "text_encoder", "fp16", staged=False)
        inputs = {name: value.numpy() for name, value in part.inputs.items()}
        [made] = ReferenceEvaluator(str(self.folder / "text_encoder/model.onnx")).run(None, inputs)
        agreed(made, part.run(part.inputs)["last_hidden_state"], "text_encoder", "fp16")

    def test_refiner_has_one_text_encoder_and_five_sizes(self) -> None:
        """Whole and in stages; loaded as main() loads it."""
        tiny.sdxl_refiner(self.folder / "source")
        families.export(load(self.folder / "source", []), self.folder / "source", self.folder / "refiner")
        inputs = {one.name: one for one in onnx.load(self.folder / "refiner/unet/model.onnx", load_external_data=False).graph.input}
        self.assertEqual([axis.dim_value for axis in inputs["time_ids"].type.tensor_type.shape.dim][1], 5)
        self.assertTrue((self.folder / "refiner/unet/plan.json").exists())
        self.assertFalse((self.folder / "refiner/text_encoder").exists())

    def test_a_folder_may_lack_what_no_export_reads(self) -> None:
        """Folders are often downloaded without Stable Diffusion's safety checker, which their model_index.json names all the same."""
        tiny.sd2(self.folder / "source")
        index = self.folder / "source/model_index.json"
        named = {"safety_checker": ["stable_diffusion", "StableDiffusionSafetyChecker"], "feature_extractor": ["transformers", "CLIPImageProcessor"]}
        index.write_text(json.dumps(json.loads(index.read_text()) | named))
        self.assertIsNone(load(self.folder / "source", []).safety_checker)

    def test_a_folder_that_diffusers_cannot_read_is_refused_with_its_reason(self) -> None:
        source = self.folder / "source"
        pipeline = tiny.sd2(source)
        index = source / "model_index.json"
        written = index.read_text()
        for text, said in (("{", "JSONDecodeError"), ("[]", "TypeError"), ("{}", "_class_name"), (written.replace('"StableDiffusionP', '"ORTStableDiffusionP'), "ORTStable")):
            index.write_text(text)
            with self.subTest(text[:20]), self.assertRaisesRegex(SystemExit, f"(?s)Expected .*{said}"):
                load(source, [])
        index.write_text(written)
        for folder in (self.folder / "none", source):  # the latter is a pipeline, no ControlNet
            with self.subTest(str(folder)), self.assertRaisesRegex(SystemExit, f"Expected a whole diffusers folder in {folder}"):
                load(source, [folder])
        for changed in ({"variant": "fp16"}, {"safe_serialization": False}):
            (source / "unet/diffusion_pytorch_model.safetensors").unlink(missing_ok=True)
            pipeline.unet.save_pretrained(source / "unet", **changed)
            with self.subTest(changed), self.assertRaisesRegex(SystemExit, "(?s)no variant .*no file named diffusion_pytorch_model.safetensors"):
                load(source, [])

    def test_a_folder_whose_files_are_whole_is_not_called_incomplete(self) -> None:
        """What else its configurations ask for is said; a mistake of the exporter is a traceback."""
        source = self.folder / "source"
        tiny.sd2(source)
        path = source / "unet/config.json"
        own = json.loads(path.read_text())
        for fields, said in (({"down_block_types": ["NoBlock2D", "DownBlock2D"]}, "NoBlock2D"), ({"cross_attention_dim": 48}, "48"), ({"quantization_config": {"quant_method": "bitsandbytes"}}, "bitsandbytes")):
            path.write_text(json.dumps(own | fields))
            with self.subTest(said), self.assertRaisesRegex(SystemExit, f"(?s)^Expected a folder that diffusers .* can read; of {source} they say:.*{said}"):
                load(source, [])
        with mock.patch("export.__main__.DiffusionPipeline.from_pretrained", side_effect=TypeError), self.assertRaises(TypeError):
            load(source, [])

    def test_of_a_scheduler_its_configuration_is_read_alone(self) -> None:
        """Of whatever class: diffusers makes some with packages alone that no export needs, as LMSDiscreteScheduler with scipy."""
        source = self.folder / "source"
        pipeline = tiny.sd2(source)
        tiny.controlnet(pipeline.unet, 1).save_pretrained(self.folder / "net")
        path = source / "model_index.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | {"scheduler": ["diffusers", "NoScheduler"]}))
        load(source, [self.folder / "net"])
        (source / "scheduler/scheduler_config.json").unlink()
        self.assertRaisesRegex(SystemExit, "Expected a scheduler's configuration, found none at .*scheduler_config.json", load, source, [])

    def test_a_tokenizer_without_files_ends_the_export(self) -> None:
        """transformers makes an empty one, so that the folder was exported and did not load."""
        source = self.folder / "source"
        tiny.flux(source)
        files = {path: path.read_bytes() for path in source.glob("tokenizer*/*")}
        for names in (["tokenizer/tokenizer.json", "tokenizer/merges.txt"], ["tokenizer_2/tokenizer.json", "tokenizer_2/spiece.model"]):
            for name in names:
                self.assertTrue((source / name).exists(), name)
                load(source, [])
                (source / name).unlink()
            with self.subTest(names[0]), self.assertRaisesRegex(SystemExit, f"Expected a tokenizer in {(source / names[0]).parent}: tokenizer.json, or"):
                load(source, [])
            for path, data in files.items():
                path.write_bytes(data)

    def test_weights_that_no_file_has_end_the_export(self) -> None:
        """They would be drawn at random, with a warning."""
        source = self.folder / "source"
        tiny.sd2(source)
        for file, name in (("unet/diffusion_pytorch_model", "conv_in.weight"), ("text_encoder/model", "embeddings.token_embedding.weight")):
            path = source / f"{file}.safetensors"
            whole = load_file(path)
            save_file({key: value for key, value in whole.items() if not key.endswith(name)}, path, {"format": "pt"})
            with self.subTest(file), self.assertRaisesRegex(SystemExit, f"Expected all weights in {source}.*{name} is in no file"):
                load(source, [])
            save_file(whole, path, {"format": "pt"})
        load(source, [])

    def test_controlnets_that_are_none_or_do_not_fit_the_network_are_refused(self) -> None:
        """diffusers reads a union of several as a plain one, with a warning, and without what makes it one."""
        unet = tiny.sd2(self.folder / "source").unet
        shape = {key: unet.config[key] for key in ("down_block_types", "block_out_channels", "layers_per_block", "attention_head_dim", "norm_num_groups")}
        small = {**shape, "conditioning_embedding_out_channels": (8, 8)}
        nets = {
            "found a ControlNetUnionModel": ControlNetUnionModel(cross_attention_dim=32, addition_time_embed_dim=8, num_trans_channel=16, num_trans_head=2, **small),
            "found a UNet2DConditionModel": unet,
            "channels of pictures are 1, not 3": ControlNetModel(cross_attention_dim=32, conditioning_channels=1, **small),
            "text features are 24, not 32": ControlNetModel(cross_attention_dim=24, **small),
            "residuals are": ControlNetModel(cross_attention_dim=32, **{**small, "layers_per_block": 2}),
        }
        for k, (said, net) in enumerate(nets.items()):
            net.save_pretrained(self.folder / str(k))
            with self.subTest(said), self.assertRaisesRegex(SystemExit, f"Expected a ControlNet.*{said}"):
                load(self.folder / "source", [self.folder / str(k)])

    def test_text_of_one_width_may_be_written_once_for_each_block(self) -> None:
        source = self.folder / "source"
        pipeline = tiny.sd2(source)
        tiny.controlnet(pipeline.unet, 1).save_pretrained(self.folder / "net")
        path = source / "unet/config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | {"cross_attention_dim": [32, 32]}))
        part = unet_part(load(source, [self.folder / "net"]).unet)
        self.assertEqual(part.inputs["encoder_hidden_states"].shape[2], 32)
        net = UNet2DConditionModel(**settings_of(pipeline.unet) | {"cross_attention_dim": [24, 32]})
        self.assertRaisesRegex(SystemExit, r"text of one width, found cross_attention_dim \[24, 32\]", unet_part, net)

    def test_stable_diffusion_3_that_was_saved_without_t5_has_two_text_encoders(self) -> None:
        parts = tiny.sd3(self.folder / "whole").components
        StableDiffusion3Pipeline(**{**parts, "text_encoder_3": None, "tokenizer_3": None}).save_pretrained(self.folder / "source")
        names = [part.name for part in families.stable_diffusion_3(load(self.folder / "source", []))]
        self.assertEqual(names, ["text_encoder", "text_encoder_2", "transformer", "vae_decoder", "vae_encoder"])

    def test_folders_that_were_saved_without_a_part_are_refused_by_its_name(self) -> None:
        for family, name in (("sd2", "text_encoder"), ("sd2", "tokenizer"), ("sdxl", "tokenizer_2"), ("flux", "text_encoder_2"), ("sd3", "text_encoder"), ("musicldm", "vocoder")):
            pipeline = getattr(tiny, family)(self.folder / family / name)
            setattr(pipeline, name, None)
            with self.subTest(family, name=name), self.assertRaisesRegex(SystemExit, f"with its {name};"):
                families.export(pipeline, self.folder / family / name, self.folder / "onnx")
        self.assertFalse((self.folder / "onnx").exists())

    def test_output_inside_the_source_is_refused(self) -> None:
        source = self.folder / "source"
        source.mkdir()
        (source / "model_index.json").write_text("{}")
        (self.folder / "link").symlink_to(source)
        for output in (source, source / "onnx", source / "a/b", self.folder / "link/onnx", source / "../source/onnx"):
            with self.subTest(str(output)), self.assertRaisesRegex(SystemExit, "Expected an output folder outside"):
                check_folders(source, output)
        for output in (self.folder / "source-onnx", self.folder / "new"):
            check_folders(source, output)

    def test_an_output_that_cannot_be_written_to_is_refused_before_anything_is_read(self) -> None:
        source = self.folder / "source"
        source.mkdir()
        (source / "model_index.json").write_text("{}")
        (self.folder / "file").write_text("")
        (self.folder / "link").symlink_to(self.folder / "nowhere")
        for output in (self.folder / "file/onnx", self.folder / "link", Path("/proc/onnx")):
            with self.subTest(str(output)), self.assertRaisesRegex(SystemExit, "Expected an output folder that can be written to"):
                check_folders(source, output)

    def test_configurations_that_are_not_followed_are_refused(self) -> None:
        """Nothing is written. Where diffusers ignores the field, so does the export."""
        sd2 = ("sd2", ["unet.time_cond_proj_dim", "text_encoder.use_attention_mask"])
        controlled = ("sd2_controlnet", ["controlnet.global_pool_conditions"])
        sdxl = ("sdxl", ["unet.time_cond_proj_dim", "vae.latents_mean", "vae.latents_std"])
        values = {"time_cond_proj_dim": 16, "latents_mean": [0.1] * 4, "latents_std": [2.0] * 4}
        for family, places in (sd2, controlled, sdxl):
            pipeline = getattr(tiny, family)(self.folder / family)
            families.refuse_unfollowed(pipeline)
            for place in places:
                name, field = place.split(".")
                component = pipeline.components[name]
                one = getattr(component, "nets", [component])[-1]
                register = getattr(one, "register_to_config", lambda **fields: one.config.update(fields))
                register(**{field: values.get(field, True)})
                with self.subTest(family, place=place), self.assertRaisesRegex(SystemExit, f"Expected no {field} in {name}/config.json"):
                    families.export(pipeline, self.folder / family, self.folder / "onnx")
                self.assertFalse((self.folder / "onnx").exists())
                register(**{field: None})

    def test_networks_that_want_a_class_of_each_picture_are_refused(self) -> None:
        pipeline = tiny.sd2(self.folder / "source")
        own = settings_of(pipeline.unet)
        for field, value in {"num_class_embeds": 5, "class_embed_type": "timestep"}.items():
            pipeline.unet = UNet2DConditionModel(**own | {field: value})
            with self.subTest(field), self.assertRaisesRegex(SystemExit, f"Expected no {field} in unet/config.json"):
                families.export(pipeline, self.folder / "source", self.folder / "onnx")

    def test_networks_of_other_pipelines_are_refused_by_what_makes_them_such(self) -> None:
        pipeline = tiny.sd2(self.folder / "source")
        own = settings_of(pipeline.unet)
        times = {"addition_time_embed_dim": 8, "projection_class_embeddings_input_dim": 80}
        resnets = {"down_block_types": ("CrossAttnDownBlock2D", "ResnetDownsampleBlock2D"), "up_block_types": ("ResnetUpsampleBlock2D", "CrossAttnUpBlock2D")}
        for said, fields in {
            "None or text_proj, found image_proj": {"encoder_hid_dim": 32, "encoder_hid_dim_type": "image_proj"},
            "None or False, found True": {"dual_cross_attention": True},
            "None or text, found text_time": {"addition_embed_type": "text_time", **times},
            "found ResnetDownsampleBlock2D": resnets,
        }.items():
            pipeline.unet = UNet2DConditionModel(**own | fields)
            with self.subTest(said), self.assertRaisesRegex(SystemExit, f"Expected .* in unet/config.json.*{said}: sada"):
                families.export(pipeline, self.folder / "source", self.folder / "onnx")
        self.assertFalse((self.folder / "onnx").exists())

    def test_simple_blocks_stay_whole(self) -> None:
        own = settings_of(tiny.sd2(self.folder / "source").unet)
        blocks = {"down_block_types": ("SimpleCrossAttnDownBlock2D", "DownBlock2D"), "up_block_types": ("UpBlock2D", "SimpleCrossAttnUpBlock2D"), "mid_block_type": "UNetMidBlock2DSimpleCrossAttn"}
        unet = tiny.lively(UNet2DConditionModel(**own | blocks | {"attention_head_dim": 8}), 1)
        families.refuse_unknown(unet, "unet", families.FOLLOWED)
        families.write(unet_part(unet), self.folder / "unet", "fp32", staged=True)
        self.assertFalse((self.folder / "unet/plan.json").exists())

    def test_tokenizers_of_more_tokens_than_the_text_encoder_has_positions_for_are_refused(self) -> None:
        """One whose configuration says no number is taken for one of any."""
        pipeline = tiny.sd2(self.folder / "source")
        for length in (78, int(1e30)):
            pipeline.tokenizer.model_max_length = length
            with self.subTest(length), self.assertRaisesRegex(SystemExit, f"at most 77 tokens.*model_max_length .* is {length}"):
                families.export(pipeline, self.folder / "source", self.folder / "onnx")

    def test_autoencoders_of_other_classes_are_refused(self) -> None:
        pipeline = tiny.sd2(self.folder / "source")
        pipeline.vae = AutoencoderTiny(encoder_block_out_channels=(8, 8), decoder_block_out_channels=(8, 8), num_encoder_blocks=(1, 1), num_decoder_blocks=(1, 1))
        with self.assertRaisesRegex(SystemExit, "Expected an AutoencoderKL as vae, found: AutoencoderTiny"):
            families.export(pipeline, self.folder / "source", self.folder / "onnx")

    def test_a_layer_that_overflows_float16_is_refused_by_name(self) -> None:
        pipeline = tiny.sd2(self.folder / "source")
        with torch.no_grad():
            pipeline.unet.conv_in.weight *= 1e5
        for dtype in ("fp32", "bf16"):
            families.write(unet_part(pipeline.unet), self.folder / dtype, dtype, staged=False)
        with self.assertRaisesRegex(Overflow, "unet.conv_in takes or gives .*--dtype fp32"):
            families.export(pipeline, self.folder / "source", self.folder / "fp16", "fp16", staged=False)
        self.assertFalse((self.folder / "fp16/unet").exists())

    def test_a_text_encoder_that_overflows_float16_stays_float32(self) -> None:
        """Which ONNX Runtime on the CPU does not show: there the file of float16 agrees."""
        pipeline = tiny.pixart(self.folder / "source")
        with torch.no_grad():
            for block in pipeline.text_encoder.encoder.block:
                block.layer[-1].DenseReluDense.wo.weight *= 1e5
        part = text_part("text_encoder", pipeline.text_encoder, 24, ["last_hidden_state"], masked=True)
        with mock.patch("export.verify.refuse_overflow"):
            families.write(part, self.folder / "unseen", "fp16", staged=False)
        families.export(pipeline, self.folder / "source", self.folder / "pixart", "fp16", staged=False)
        for name, kind in (("text_encoder", onnx.TensorProto.FLOAT), ("transformer", onnx.TensorProto.FLOAT16)):
            graph = onnx.load(self.folder / name.join(("pixart/", "/model.onnx")), load_external_data=False).graph
            self.assertEqual(graph.output[0].type.tensor_type.elem_type, kind, name)

    def test_lora_is_folded_into_the_weights(self) -> None:
        """Against W + scale · B A, worked out here for one layer."""
        pipeline = tiny.sd2(self.folder / "source")
        layer = "down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q"
        before = pipeline.unet.get_submodule(layer).weight.detach().clone()
        pipeline.unet.add_adapter(LoraConfig(r=2, lora_alpha=2, target_modules=["to_q"], init_lora_weights=False))
        adapter = get_peft_model_state_dict(pipeline.unet)
        StableDiffusionPipeline.save_lora_weights(self.folder, unet_lora_layers=adapter, weight_name="lora.safetensors")
        down, up = (adapter[f"{layer}.lora_{side}.weight"] for side in "AB")

        fresh = tiny.sd2(self.folder / "fresh")
        fold(fresh, [f"{self.folder / 'lora.safetensors'}=0.5"])
        torch.testing.assert_close(fresh.unet.get_submodule(layer).weight, before + 0.5 * up @ down)
        self.assertFalse([name for name, _ in fresh.unet.named_parameters() if "lora" in name])

    def test_lora_that_fits_nothing_ends_the_export(self) -> None:
        pipeline = tiny.sd2(self.folder / "source")
        layer = "attentions.0.transformer_blocks.0.attn1.to_q"
        foreign = {"another block": (f"unet.down_blocks.7.{layer}", 16), "another width": (f"unet.down_blocks.0.{layer}", 999), "another network": ("other", 16)}
        for name, (key, width) in foreign.items():
            down, up = torch.ones(2, width), torch.ones(width, 2)
            save_file({f"{key}.lora_A.weight": down, f"{key}.lora_B.weight": up}, self.folder / f"{name}.safetensors")
            with self.subTest(name), self.assertRaisesRegex(SystemExit, "Expected a LoRA for this StableDiffusionPipeline"):
                fold(pipeline, [str(self.folder / f"{name}.safetensors")])

    def test_scale_of_a_lora_follows_the_last_equals_sign(self) -> None:
        given = {"a": ("a", 1), "5": ("5", 1), "a=0.5": ("a", 0.5), "a=b": ("a=b", 1), "a=b=-2": ("a=b", -2), "r=8/a.safetensors": ("r=8/a.safetensors", 1)}
        for text, (file, scale) in given.items():
            self.assertEqual(file_and_scale(text), (Path(file), scale))

    def test_after_a_disagreement_or_an_error_of_the_disk_the_same_command_runs_again(self) -> None:
        """Nothing of the folder is left, what was written before it either, nor a folder that was not there."""
        tiny.sd2(self.folder / "source")
        output = self.folder / "onnx"

        def failing(pipeline, source, folder, *_, **__):
            (folder / "text_encoder").mkdir(parents=True)
            (folder / "text_encoder/model.onnx").write_bytes(b"")
            raise error

        for error, said in ((Disagreement("unet differs"), "unet differs"), (OSError(28, "No space left on device"), f"No space left .* in {output} and in {tempfile.gettempdir()}"), (KeyboardInterrupt(), "Interrupted")):
            with mock.patch("sys.argv", ["export", str(self.folder / "source"), "-o", str(output)]), mock.patch("export.__main__.export", failing):
                with self.assertRaisesRegex(SystemExit, f"{said}.*\nNothing is left in"):
                    main()
                self.assertFalse(output.exists())
                output.mkdir()
                with self.assertRaisesRegex(SystemExit, said):
                    main()
            self.assertEqual(list(output.iterdir()), [])
            output.rmdir()

    def test_an_export_that_ends_before_its_controlnets_are_described_leaves_nothing(self) -> None:
        """model_index.json has been written then, so that it would look like a whole one."""
        pipeline = tiny.sd2(self.folder / "source")
        tiny.controlnet(pipeline.unet, 41).save_pretrained(self.folder / "net")
        command = ["export", str(self.folder / "source"), "-o", str(self.folder / "onnx"), "--controlnet", str(self.folder / "net")]

        def written(pipeline, source, output, *_, **__):
            (output / "model_index.json").write_text("{}")

        with mock.patch("sys.argv", command), mock.patch("export.__main__.export", written), mock.patch("export.__main__.describe_controlnets", side_effect=KeyboardInterrupt):
            self.assertRaisesRegex(SystemExit, "Interrupted", main)
        self.assertFalse((self.folder / "onnx").exists())


if __name__ == "__main__":
    unittest.main()
