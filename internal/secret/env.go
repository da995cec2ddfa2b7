// Package secret decides which environment variables engines inherit, and keeps the rest out of results and off
// terminals: values of variables whose name suggests a secret, passwords in addresses, tokens of the Hugging Face
// hub, and the control characters with which a text can control a terminal.
package secret

import (
	"slices"
	"strings"
)

// PassVariable lists additional variables for engines, separated by commas: NAME or PREFIX_*.
const PassVariable = "LLEM_PASS_ENV"

// settings are the prefixes of variables that engines and their libraries read as settings.
var settings = []string{"CUDA_", "NCCL_", "NVSHMEM_", "TORCH_NCCL_", "TORCH_SYMM_MEM_", "OMP_", "MKL_", "OPENBLAS_",
	"PYTORCH_", "TORCHINDUCTOR_",
	"VLLM_", "SGLANG_", "GGML_", "LLAMA_", "TLLM_", "TRTLLM_"}

// places are the variables, or their prefixes, that every program of this machine depends on: where it finds its
// files and libraries, its language, and the part of a cluster that it was given.
var places = []string{
	"PATH", "HOME", "USER", "LOGNAME", "SHELL", "TMPDIR", "TMP", "TEMP", "TZ", "TERM", "LANG", "LANGUAGE", "LC_", "PWD",
	"LD_", "LIBRARY_PATH", "CPATH", "C_INCLUDE_PATH", "CPLUS_INCLUDE_PATH", "PKG_CONFIG_PATH", "CC", "CXX", "XDG_",
	"PYTHON", "PYENV_", "VIRTUAL_ENV", "CONDA_", "MAMBA_", "UV_PYTHON", "MODULEPATH", "LOADEDMODULES",
	"NVIDIA_", "ROCM_", "HIP_", "HSA_", "ROCR_", "AMD_", "MIOPEN_", "ROCBLAS_", "HIPBLASLT_", "GPU_", "ZE_", "SYCL_",
	"ONEAPI_",
	"SLURM_", "PMI_", "PMIX_", "OMPI_", "UCX_", "FI_", "GLOO_", "KMP_", "GOMP_", "NUMEXPR_", "MALLOC_", "TBB_",
	"HF_HOME", "HF_HUB_", "HUGGINGFACE_HUB_CACHE", "TRANSFORMERS_", "TOKENIZERS_", "SAFETENSORS_", "TORCH_", "TRITON_",
	"FLASHINFER_", "FLASH_ATTENTION_", "DG_", "SGL_", "TVM_", "TENSORRT_", "XFORMERS_", "CT2_", "BNB_",
	"LLEM_", "GODEBUG", "GOMAXPROCS", "GOMEMLIMIT", "GOGC", "GORACE", "GOTRACEBACK", "GOCOVERDIR",
}

// PassedOn returns the variables that engines read as settings and that do not refer to anything a container
// lacks.
func PassedOn(environ []string) []string {
	return slices.DeleteFunc(slices.Clone(environ), func(kv string) bool {
		name, text, _ := strings.Cut(kv, "=")
		return name == "CUDA_HOME" || name == "CUDA_PATH" || strings.HasPrefix(text, "/") || IsSecret(name) ||
			!begins(name, settings)
	})
}

// Env returns the variables for an engine on this machine: settings, places, and what the user lists in
// LLEM_PASS_ENV. No engine needs a token: models are downloaded before it starts.
func Env(environ []string) []string {
	var extra []string
	for _, kv := range environ {
		if list, ok := strings.CutPrefix(kv, PassVariable+"="); ok {
			extra = strings.Split(list, ",")
		}
	}
	return slices.DeleteFunc(slices.Clone(environ), func(kv string) bool {
		name, _, _ := strings.Cut(kv, "=")
		if named(name, extra) {
			return false
		}
		return IsSecret(name) || !begins(name, settings) && !begins(name, places)
	})
}

// begins reports whether a variable is in a list, or begins with an entry that ends in an underscore or is a
// prefix of a family of variables.
func begins(name string, list []string) bool {
	return slices.ContainsFunc(list, func(p string) bool {
		return name == p || strings.HasSuffix(p, "_") && strings.HasPrefix(name, p) ||
			p == "PYTHON" && strings.HasPrefix(name, p)
	})
}

// named reports whether the user's list contains a variable.
func named(name string, list []string) bool {
	return slices.ContainsFunc(list, func(p string) bool {
		p = strings.TrimSpace(p)
		prefix, family := strings.CutSuffix(p, "*")
		return p != "" && (name == p || family && prefix != "" && strings.HasPrefix(name, prefix))
	})
}

// IsSecret reports whether the name of a variable suggests that its value is secret.
func IsSecret(name string) bool {
	name = strings.ToUpper(name)
	return slices.ContainsFunc([]string{"KEY", "TOKEN", "SECRET", "PASSWORD", "PASSWD", "PASSPHRASE", "CREDENTIALS",
		"JWT"},
		func(word string) bool { return name == word || strings.HasSuffix(name, "_"+word) }) ||
		name == "AWS_ACCESS_KEY_ID" || name == "PGPASSWORD"
}
