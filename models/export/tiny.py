"""Small random models of the real classes, for the fixtures: every architectural switch of the family, a few channels each."""

import io
import json
import shutil
from pathlib import Path

import sentencepiece
import torch
from diffusers import (
    AutoencoderKL,
    ControlNetModel,
    DPMSolverMultistepScheduler,
    EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
    FluxPipeline,
    FluxTransformer2DModel,
    MusicLDMPipeline,
    PixArtAlphaPipeline,
    PixArtSigmaPipeline,
    PixArtTransformer2DModel,
    SD3Transformer2DModel,
    StableDiffusion3Pipeline,
    StableDiffusionControlNetPipeline,
    StableDiffusionInpaintPipeline,
    StableDiffusionPipeline,
    StableDiffusionXLControlNetPipeline,
    StableDiffusionXLImg2ImgPipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from transformers import (
    ClapAudioConfig,
    ClapConfig,
    ClapModel,
    ClapTextConfig,
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
    RobertaTokenizer,
    SpeechT5HifiGan,
    SpeechT5HifiGanConfig,
    T5Config,
    T5EncoderModel,
    T5TokenizerFast,
)

# Merges of the toy tokenizer, in order of rank, as CLIP's merges.txt has them.
MERGES = "t h|th e</w>|i n|i n</w>|a n|an d</w>|e r</w>|o n</w>|r e|r e</w>|a t|a t</w>|c at</w>|d o|do g</w>|o f</w>|s t|st a|p h|o t|ph ot|phot o</w>|! !</w>".split("|")


def bytes_as_characters() -> list[str]:
    """GPT-2's printable stand-in for each of the 256 bytes, in the order CLIP's vocabulary lists them."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    return [chr(b) for b in printable] + [chr(256 + k) for k in range(256 - len(printable))]


def write_clip_tokenizer(folder: Path, pad: str, merges: list[str] = MERGES, length: int = 77) -> CLIPTokenizer:
    """Writes the files of CLIP's slow tokenizer, the layout of the published Stable Diffusion folders; returns it."""
    folder.mkdir(parents=True, exist_ok=True)
    letters = bytes_as_characters()
    words = [*letters, *(letter + "</w>" for letter in letters), *(pair.replace(" ", "") for pair in merges)]
    vocabulary = {word: k for k, word in enumerate([*words, "<|startoftext|>", "<|endoftext|>"])}
    (folder / "vocab.json").write_text(json.dumps(vocabulary, ensure_ascii=False))
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *merges]) + "\n")

    def special(content: str) -> dict[str, object]:
        return {"content": content, "lstrip": False, "normalized": True, "rstrip": False, "single_word": False}

    tokens = {"bos_token": special("<|startoftext|>"), "eos_token": special("<|endoftext|>"), "unk_token": special("<|endoftext|>"), "pad_token": pad}
    (folder / "special_tokens_map.json").write_text(json.dumps(tokens, indent=2))
    settings = {
        "add_prefix_space": False,
        "do_lower_case": True,
        "errors": "replace",
        "model_max_length": length,
        **{key: value if isinstance(value, str) else {"__type": "AddedToken", **value} for key, value in tokens.items()},
        "tokenizer_class": "CLIPTokenizer",
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(settings, indent=2))
    return CLIPTokenizer.from_pretrained(folder)


def lively(module: torch.nn.Module, seed: int, gain: float = 1.0) -> torch.nn.Module:
    """Redraws all weights so that every branch counts: at PyTorch's defaults text and skips hardly move the output."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, value in module.named_parameters():
            if value.ndim > 1:
                value.normal_(0, gain / (value[0].numel() ** 0.5), generator=generator)
            elif name.endswith("bias"):
                value.normal_(0, 0.1, generator=generator)
            elif value.ndim == 1:
                value.copy_(1 + 0.1 * torch.randn(value.shape, generator=generator))
    return module.eval()


def clip_text(tokenizer: CLIPTokenizer, width: int, seed: int, act: str, projection: int | None = None, pad: int = 1) -> CLIPTextModel:
    config = CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=width,
        intermediate_size=2 * width,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=77,
        hidden_act=act,
        projection_dim=projection or width,
        # The published configurations say 0, 2 and 1, which are not the tokenizer's; end of text is then found as the largest id.
        bos_token_id=0,
        eos_token_id=2,
        pad_token_id=pad,
    )
    return lively(CLIPTextModelWithProjection(config) if projection else CLIPTextModel(config), seed)


def vae(seed: int, latents: int = 4, channels: int = 3, **switches: object) -> AutoencoderKL:
    kl = AutoencoderKL(
        in_channels=channels,
        out_channels=channels,
        latent_channels=latents,
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        block_out_channels=(8, 8),
        layers_per_block=1,
        norm_num_groups=4,
        sample_size=32,
        **switches,
    )
    return lively(kl, seed, 0.7)


SD_NOISE = {"num_train_timesteps": 1000, "beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "steps_offset": 1}


def sd2(folder: Path, channels: int = 4) -> StableDiffusionPipeline:
    """Stable Diffusion 2: OpenCLIP text encoder, linear projections around the transformer blocks, heads by block."""
    tokenizer = write_clip_tokenizer(folder / "tokenizer", pad="!")
    unet = UNet2DConditionModel(
        sample_size=16,
        in_channels=channels,
        out_channels=4,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        block_out_channels=(16, 24),
        layers_per_block=1,
        cross_attention_dim=32,
        attention_head_dim=(2, 3),
        norm_num_groups=8,
        use_linear_projection=True,
    )
    pipeline = StableDiffusionPipeline(
        vae=vae(12, scaling_factor=0.18215),
        text_encoder=clip_text(tokenizer, 32, 13, "gelu"),
        tokenizer=tokenizer,
        unet=lively(unet, 11),
        scheduler=EulerDiscreteScheduler(**SD_NOISE, timestep_spacing="leading", prediction_type="epsilon"),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.save_pretrained(folder)
    write_clip_tokenizer(folder / "tokenizer", pad="!")
    return pipeline


def sdxl(folder: Path) -> StableDiffusionXLPipeline:
    """Stable Diffusion XL: two text encoders side by side, pooled text and sizes beside the time, no attention at full resolution."""
    first = write_clip_tokenizer(folder / "tokenizer", pad="<|endoftext|>")
    second = write_clip_tokenizer(folder / "tokenizer_2", pad="!")
    unet = UNet2DConditionModel(
        sample_size=16,
        in_channels=4,
        out_channels=4,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        block_out_channels=(8, 16, 16),
        layers_per_block=1,
        transformer_layers_per_block=(1, 1, 2),
        cross_attention_dim=24 + 32,
        attention_head_dim=(1, 2, 2),
        norm_num_groups=4,
        use_linear_projection=True,
        addition_embed_type="text_time",
        addition_time_embed_dim=8,
        projection_class_embeddings_input_dim=32 + 6 * 8,
    )
    pipeline = StableDiffusionXLPipeline(
        vae=vae(22, scaling_factor=0.13025, force_upcast=True),
        text_encoder=clip_text(first, 24, 23, "quick_gelu"),
        text_encoder_2=clip_text(second, 32, 24, "gelu", projection=32),
        tokenizer=first,
        tokenizer_2=second,
        unet=lively(unet, 21),
        scheduler=EulerDiscreteScheduler(**SD_NOISE, timestep_spacing="leading"),
    )
    pipeline.save_pretrained(folder)
    return pipeline


def sdxl_refiner(folder: Path) -> StableDiffusionXLImg2ImgPipeline:
    """Stable Diffusion XL's refiner: the second text encoder alone, and an aesthetic score in place of the target size."""
    base = sdxl(folder / "base")
    unet = UNet2DConditionModel.from_config({**base.unet.config, "cross_attention_dim": 32, "projection_class_embeddings_input_dim": 32 + 5 * 8})
    pipeline = StableDiffusionXLImg2ImgPipeline(
        vae=base.vae,
        text_encoder=None,
        text_encoder_2=base.text_encoder_2,
        tokenizer=None,
        tokenizer_2=base.tokenizer_2,
        unet=lively(unet, 25),
        scheduler=base.scheduler,
        requires_aesthetics_score=True,
    )
    shutil.rmtree(folder / "base")
    pipeline.save_pretrained(folder)
    return pipeline


SENTENCES = """A photo of the cat and the dog on the road. A photo of the dog. A photo of the cat. The cat and the dog. The river and the stone, a storm of sand on the shore; the other photo
is of a red star. Blurry hands, three cats, café, naïve painting, more than 12 stations at noon! Where is the path to the sea?"""


def unigram(sentences: list[str]) -> bytes:
    """A spiece.model of at most 200 pieces."""
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(sentences),
        model_writer=model,
        vocab_size=200,
        hard_vocab_limit=False,
        pad_id=0,
        eos_id=1,
        unk_id=2,
        bos_id=-1,
        # The published tables of NFKC are 300 kB.
        normalization_rule_name="identity",
        minloglevel=2,
        num_threads=1,
    )
    return model.getvalue()


def write_t5_tokenizer(folder: Path, model: bytes | None = None, length: int = 512) -> T5TokenizerFast:
    """Writes spiece.model and tokenizer.json of a unigram vocabulary; returns the tokenizer."""
    folder.mkdir(parents=True, exist_ok=True)
    model = model or unigram(SENTENCES.replace("\n", " ").split(". "))
    (folder / "spiece.model").write_bytes(model)
    tokenizer = T5TokenizerFast.from_pretrained(folder, extra_ids=4, model_max_length=length)
    tokenizer.save_pretrained(folder)
    (folder / "spiece.model").write_bytes(model)
    return tokenizer


def t5(words: int, width: int) -> T5Config:
    return T5Config(
        vocab_size=words,
        d_model=width,
        d_kv=8,
        d_ff=48,
        num_layers=2,
        num_heads=4,
        relative_attention_num_buckets=8,
        feed_forward_proj="gated-gelu",
        tie_word_embeddings=False,
    )


def flux(folder: Path, guided: bool = True) -> FluxPipeline:
    """Flux: CLIP's pooled vector and T5's tokens, packed latents, rotary positions. `guided` is dev, otherwise schnell."""
    first = write_clip_tokenizer(folder / "tokenizer", pad="<|endoftext|>")
    second = write_t5_tokenizer(folder / "tokenizer_2")
    transformer = FluxTransformer2DModel(
        patch_size=1,
        in_channels=16,
        num_layers=3,
        num_single_layers=3,
        attention_head_dim=16,
        num_attention_heads=2,
        joint_attention_dim=32,
        pooled_projection_dim=24,
        guidance_embeds=guided,
        axes_dims_rope=(4, 6, 6),
    )
    dynamic = {"shift": 3.0, "use_dynamic_shifting": True, "base_shift": 0.5, "max_shift": 1.15, "base_image_seq_len": 256, "max_image_seq_len": 4096}
    pipeline = FluxPipeline(
        vae=vae(32, scaling_factor=0.3611, shift_factor=0.1159, use_quant_conv=False, use_post_quant_conv=False),
        text_encoder=clip_text(first, 24, 33, "quick_gelu"),
        text_encoder_2=lively(T5EncoderModel(t5(len(second), 32)), 34),
        tokenizer=first,
        tokenizer_2=second,
        transformer=lively(transformer, 31, 0.7),
        scheduler=FlowMatchEulerDiscreteScheduler(num_train_timesteps=1000, **(dynamic if guided else {"shift": 1.0})),
    )
    pipeline.save_pretrained(folder)
    return pipeline


def sd3(folder: Path) -> StableDiffusion3Pipeline:
    """Stable Diffusion 3: two CLIPs beside each other before T5, a map in patches, and 3.5's second attention and norms of queries and keys."""
    first = write_clip_tokenizer(folder / "tokenizer", pad="<|endoftext|>")
    second = write_clip_tokenizer(folder / "tokenizer_2", pad="!")
    third = write_t5_tokenizer(folder / "tokenizer_3")
    transformer = SD3Transformer2DModel(
        sample_size=16,
        patch_size=2,
        in_channels=16,  # what diffusers' inpainting insists on
        out_channels=16,
        num_layers=3,
        attention_head_dim=8,
        num_attention_heads=4,
        joint_attention_dim=64,
        caption_projection_dim=32,
        pooled_projection_dim=24 + 32,
        pos_embed_max_size=24,
        dual_attention_layers=(0,),
        qk_norm="rms_norm",
    )
    pipeline = StableDiffusion3Pipeline(
        vae=vae(62, 16, scaling_factor=1.5305, shift_factor=0.0609, use_quant_conv=False, use_post_quant_conv=False),
        text_encoder=clip_text(first, 24, 63, "quick_gelu", projection=24),
        text_encoder_2=clip_text(second, 32, 64, "gelu", projection=32),
        text_encoder_3=lively(T5EncoderModel(t5(len(third), 64)), 65),
        tokenizer=first,
        tokenizer_2=second,
        tokenizer_3=third,
        transformer=lively(transformer, 61, 0.7),
        scheduler=FlowMatchEulerDiscreteScheduler(num_train_timesteps=1000, shift=3.0),
    )
    pipeline.save_pretrained(folder)
    return pipeline


def pixart(folder: Path, sized: bool = True) -> PixArtAlphaPipeline | PixArtSigmaPipeline:
    """PixArt: T5 alone, with a mask, a transformer that is told the time once for all blocks. `sized` is Alpha for 1024 pixels, told the size, otherwise Sigma."""
    tokenizer = write_t5_tokenizer(folder / "tokenizer")
    transformer = PixArtTransformer2DModel(
        sample_size=128 if sized else 16,
        interpolation_scale=None if sized else 2,
        use_additional_conditions=sized,
        patch_size=2,
        in_channels=4,
        out_channels=8,
        num_layers=3,
        num_attention_heads=3,
        attention_head_dim=8,
        cross_attention_dim=24,
        attention_bias=True,
        caption_channels=32,
    )
    pipeline = (PixArtAlphaPipeline if sized else PixArtSigmaPipeline)(
        vae=vae(72, scaling_factor=0.18215 if sized else 0.13025),
        text_encoder=lively(T5EncoderModel(t5(len(tokenizer), 32)), 73),
        tokenizer=tokenizer,
        transformer=lively(transformer, 71, 0.7),
        scheduler=DPMSolverMultistepScheduler(beta_start=0.0001, beta_end=0.02),
    )
    pipeline.save_pretrained(folder)
    return pipeline


def controlnet(unet: UNet2DConditionModel, seed: int) -> ControlNetModel:
    """A ControlNet whose output layers are not zero, as those of a trained one."""
    return lively(ControlNetModel.from_unet(unet, conditioning_embedding_out_channels=(8, 8), load_weights_from_unet=False), seed, 0.5)


def sd2_inpainting(folder: Path) -> StableDiffusionInpaintPipeline:
    """Stable Diffusion 2 whose UNet reads the mask and what is left of the picture beside the latents."""
    parts = {key: value for key, value in sd2(folder, 9).components.items() if key != "image_encoder"}
    pipeline = StableDiffusionInpaintPipeline(**parts, requires_safety_checker=False)
    pipeline.save_pretrained(folder)
    write_clip_tokenizer(folder / "tokenizer", pad="!")
    return pipeline


def sd2_controlnet(folder: Path) -> StableDiffusionControlNetPipeline:
    """Stable Diffusion 2 with two ControlNets."""
    parts = {key: value for key, value in sd2(folder).components.items() if key != "image_encoder"}
    nets = [controlnet(parts["unet"], seed) for seed in (41, 42)]
    pipeline = StableDiffusionControlNetPipeline(**parts, controlnet=nets, requires_safety_checker=False)
    pipeline.save_pretrained(folder)
    return pipeline


def sdxl_controlnet(folder: Path) -> StableDiffusionXLControlNetPipeline:
    parts = {key: value for key, value in sdxl(folder).components.items() if key not in ("image_encoder", "feature_extractor")}
    pipeline = StableDiffusionXLControlNetPipeline(**parts, controlnet=controlnet(parts["unet"], 43))
    pipeline.save_pretrained(folder)
    return pipeline


# Merges of the toy of RoBERTa's tokenizer; the halves of "beat" come first.
ROBERTA_MERGES = "t h|th e|Ġ the|a n|an d|Ġ and|i n|o n|Ġ a|s t|b e|a t|Ġ d|r u|ru m|be at".split("|")


def write_roberta_tokenizer(folder: Path, length: int, merges: list[str] = ROBERTA_MERGES) -> RobertaTokenizer:
    """Writes byte-level BPE in RoBERTa's layout, at most `length` tokens a prompt; returns it."""
    folder.mkdir(parents=True, exist_ok=True)
    words = ["<s>", "<pad>", "</s>", "<unk>", *bytes_as_characters(), *(pair.replace(" ", "") for pair in merges), "<mask>"]
    (folder / "vocab.json").write_text(json.dumps({word: k for k, word in enumerate(words)}, ensure_ascii=False))
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *merges]) + "\n")
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "RobertaTokenizer", "model_max_length": length}))
    return RobertaTokenizer.from_pretrained(folder)


def musicldm(folder: Path) -> MusicLDMPipeline:
    """MusicLDM: CLAP's text vector as a class beside the time, self-attention alone, mel spectrograms, a vocoder."""
    width = 32  # of CLAP's vectors; as published, also the longest prompt, which the pipeline relies on for negative ones
    tokenizer = write_roberta_tokenizer(folder / "tokenizer", width)
    text = ClapTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=24,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=width + 2,
        projection_dim=width,
    )
    sound = ClapAudioConfig(spec_size=32, num_mel_bins=8, hidden_size=16, depths=[1, 1], num_attention_heads=[1, 1], patch_embeds_hidden_size=8, window_size=2, projection_dim=width)
    channels = (8, 16, 16)
    unet = UNet2DConditionModel(
        sample_size=16,
        in_channels=4,
        out_channels=4,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        block_out_channels=channels,
        layers_per_block=1,
        cross_attention_dim=channels,
        attention_head_dim=4,
        norm_num_groups=4,
        class_embed_type="simple_projection",
        projection_class_embeddings_input_dim=width,
        class_embeddings_concat=True,
    )
    vocoder = SpeechT5HifiGanConfig(
        model_in_dim=16,
        sampling_rate=16000,
        upsample_initial_channel=16,
        upsample_rates=[4, 2],
        upsample_kernel_sizes=[9, 4],  # as in the published one an odd number more than the rate: two samples more than the frames have
        resblock_kernel_sizes=[3, 5],
        resblock_dilation_sizes=[[1, 3], [1, 3]],
        normalize_before=False,
    )
    pipeline = MusicLDMPipeline(
        vae=vae(52, channels=1, scaling_factor=0.92),
        text_encoder=lively(ClapModel(ClapConfig(text_config=text.to_dict(), audio_config=sound.to_dict(), projection_dim=width)), 53),
        tokenizer=tokenizer,
        feature_extractor=None,
        unet=lively(unet, 51),
        scheduler=EulerDiscreteScheduler(
            num_train_timesteps=1000, beta_start=0.0015, beta_end=0.0195, beta_schedule="scaled_linear", steps_offset=1, timestep_spacing="leading"
        ),
        vocoder=lively(SpeechT5HifiGan(vocoder), 54, 1.5),
    )
    with torch.no_grad():
        # CLAP's vectors have length 1, so that their elements are small.
        pipeline.unet.class_embedding.weight *= 10
    pipeline.save_pretrained(folder)
    return pipeline
