{
  "variables": {
    "sada_version": "<!(node -p \"require('./package.json').version\")",
    "tensorrt_headers": "<!(node scripts/find-tensorrt.mjs)"
  },
  "target_defaults": {
    "include_dirs": ["<!(node -p \"require('node-addon-api').include_dir\")"],
    "defines": [
      "NAPI_VERSION=8",
      "NODE_ADDON_API_CPP_EXCEPTIONS_ALL",
      "NODE_ADDON_API_DISABLE_DEPRECATED",
      "NODE_API_NO_EXTERNAL_BUFFERS_ALLOWED",
      "NODE_API_SWALLOW_UNTHROWABLE_EXCEPTIONS",
      "SADA_VERSION=\"<(sada_version)\""
    ],
    "cflags!": ["-fno-exceptions"],
    "cflags_cc!": ["-fno-exceptions", "-fno-rtti"],
    # fp-contract: only the fused multiply-adds that are written, so that every compiler gives the same bits.
    "cflags": ["-O3", "-ffp-contract=off", "-fvisibility=hidden", "-Wall", "-Wextra"],
    "cflags_cc": ["-std=c++17"],
    "xcode_settings": {
      "GCC_ENABLE_CPP_EXCEPTIONS": "YES",
      "CLANG_CXX_LANGUAGE_STANDARD": "c++17",
      "GCC_SYMBOLS_PRIVATE_EXTERN": "YES",
      "MACOSX_DEPLOYMENT_TARGET": "13.0",
      "OTHER_CFLAGS": ["-O3", "-ffp-contract=off"]
    },
    "msvs_settings": { "VCCLCompilerTool": { "ExceptionHandling": 1, "AdditionalOptions": ["/std:c++17", "/fp:precise"] } }
  },
  "targets": [
    {
      # A target of its own for its flags. Linked after the others, so that where a library template exists twice the portable copy is kept.
      "target_name": "sada_step_x86_64_v3",
      "type": "static_library",
      "conditions": [
        ["target_arch=='x64' and OS!='win'", {
          "sources": ["native/cpu/step_x86_64_v3.cpp"],
          "cflags": ["-mavx2", "-mfma", "-fPIC"],
          "xcode_settings": { "OTHER_CFLAGS": ["-mavx2", "-mfma"] }
        }, { "type": "none" }]
      ]
    },
    {
      "target_name": "sada",
      "dependencies": ["sada_step_x86_64_v3"],
      "conditions": [
        ["target_arch=='x64' and OS!='win'", { "defines": ["SADA_X86_64_V3"] }],
        ["OS=='linux'", { "libraries": ["-ldl", "-lpthread"] }],
        ["tensorrt_headers!=''", {
          "defines": ["SADA_TENSORRT"],
          # As system headers: what they warn of is not ours.
          "cflags_cc": ["-isystem '<(module_root_dir)/native/engine/cuda_types'", "-isystem '<(tensorrt_headers)'"],
          "msvs_settings": { "VCCLCompilerTool": { "AdditionalIncludeDirectories": ["native/engine/cuda_types", "<(tensorrt_headers)"] } }
        }]
      ],
      "sources": [
        "native/addon.cpp",
        "native/bind/commands.cpp",
        "native/bind/engine.cpp",
        "native/bind/gpu.cpp",
        "native/bind/promise.cpp",
        "native/bind/read.cpp",
        "native/bind/read_session.cpp",
        "native/bind/read_step.cpp",
        "native/bind/sada_run.cpp",
        "native/bind/tensorrt.cpp",
        "native/bind/workspace.cpp",
        "native/cpu/cpu.cpp",
        "native/cpu/step_scalar.cpp",
        "native/engine/onnxruntime.cpp",
        "native/engine/onnxruntime_cuda.cpp",
        "native/engine/onnxruntime_session.cpp",
        "native/engine/onnxruntime_webgpu.cpp",
        "native/engine/tensorrt.cpp",
        "native/engine/tensorrt_library.cpp",
        "native/engine/tensorrt_runtime.cpp",
        "native/engine/tensorrt_session.cpp",
        "native/engine/tensorrt_tensors.cpp",
        "native/gpu.cpp",
        "native/pass.cpp",
        "native/pass_graphs.cpp",
        "native/sada_run.cpp"
      ]
    }
  ]
}
