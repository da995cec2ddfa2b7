package backend

import (
	"bufio"
	"errors"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/note"
)

// What engines print when they fail, from their sources, issue trackers and runs. The
// first line that one of these matches says what happened: the last line is usually a
// wrapper that says nothing. Lines that the engine itself marks as less than an error
// count only if there is no other: many engines start with warnings about what they do
// without.

// symptom is what a failure is known by: any of its texts, each a row of parts in
// lower case. Plain searches, since a log may be long.
type symptom struct {
	class note.Class
	hint  string
	texts [][]string
}

// say makes a symptom from texts; in them, … stands for anything.
func say(class note.Class, hint string, texts ...string) symptom {
	s := symptom{class: class, hint: hint}
	for _, t := range texts {
		s.texts = append(s.texts, strings.Split(strings.ToLower(t), "…"))
	}
	return s
}

// matches says whether a line in lower case shows the symptom.
func (s symptom) matches(line string) bool {
	return slices.ContainsFunc(s.texts, func(parts []string) bool {
		rest := line
		for _, p := range parts {
			i := strings.Index(rest, p)
			if i < 0 {
				return false
			}
			rest = rest[i+len(p):]
		}
		return true
	})
}

const (
	hintMemory  = "use a smaller model, dtype, batch size or context, or free the GPU (`nvidia-smi` shows who holds it)"
	hintVersion = "install versions that belong together in an environment of their own, as the engine's " +
		"documentation says"
)

// symptoms in the order in which they are tried on a line.
var symptoms = []symptom{
	say(codes.ClassConfig, "call llem.WorkerMain first in main", "did not hand over to the engine"),
	say(codes.ClassKVTooSmall, "lower max_model_len or the batch size, or raise the memory share of the engine; the "+
		"line says how much fits",
		"No available memory for the cache blocks",
		"KV cache is needed, which is larger than the available KV cache memory",
		"Not enough memory. Please try to", "failed to find a memory slot", "exceeds the available context size",
		"kv cache is full"),
	say(codes.ClassOOMGPU, hintMemory,
		"torch.OutOfMemoryError", "torch.cuda.OutOfMemoryError", "CUDA out of memory", "CUDA error: out of memory",
		"CUBLAS_STATUS_ALLOC_FAILED",
		"Free memory on device…is less than desired GPU memory utilization",
		"Executor creation failed due to insufficient GPU memory",
		"cudaMalloc failed: out of memory", "unable to allocate CUDA", "failed to allocate CUDA", "HIP out of memory"),
	say(codes.ClassOOMHost, "use a smaller model, dtype or batch size, or a machine with more memory",
		"DefaultCPUAllocator: can't allocate memory", "DefaultCPUAllocator: not enough memory", "exitcode: -9",
		"exitcode 9", "Cannot allocate memory", "MemoryError",
		"ggml_aligned_malloc: insufficient memory"),
	say(codes.ClassGated, "accept the model's licence on its page and set HF_TOKEN", "GatedRepoError",
		"trying to access a gated repo", "401 Client Error", "403 Client Error"),
	say(codes.ClassOffline, "download the model first, or check the network and HF_ENDPOINT",
		"We couldn't connect to", "LocalEntryNotFoundError", "OfflineModeIsEnabled", "Cannot reach https://"),
	say(codes.ClassCorruptModel, "download or generate the model again",
		"invalid magic characters", "is not within the file bounds", "SafetensorError", "tensor…has wrong shape"),
	say(codes.ClassDiskFull, "make room, or point the cache that the line names elsewhere", "No space left on device"),
	say(codes.ClassModelNotFound, "check the name or the path of the model",
		"is not a local folder and is not a valid model identifier", "Repo id must be in the form",
		"RepositoryNotFoundError", "404 Client Error", "Cannot find any model weights with",
		"does not appear to have a file named", "failed to load model", "failed to open GGUF",
		"gguf_init_from_file: failed to open"),
	say(codes.ClassUnsupportedModel, "choose another backend, or a newer version of this one",
		"Model architectures…are not supported", "does not recognize this architecture", "trust_remote_code=True",
		"unknown model architecture", "unsupported architecture",
		"tokenizer not supported", "Unknown architecture"),
	say(codes.ClassUnsupportedDType, "choose another dtype or quantisation for this GPU",
		"quantization method…is not supported for the current GPU",
		"Bfloat16 is only supported on GPUs with compute capability", "Unknown quantization method",
		"fp8 tensor core is not supported", "Only SM100 is supported"),
	say(codes.ClassUnsupportedDType,
		"this build of the engine has no code for this GPU: install one that has, or choose another dtype or "+
			"quantisation",
		"no kernel image is available"),
	say(codes.ClassPortInUse, "try again: the port was taken between looking and listening",
		"[Errno 98]", "Address already in use", "couldn't bind HTTP server socket", "EADDRINUSE"),
	say(codes.ClassNCCL, "check `nvidia-smi topo -m`; in a container give it the host's IPC or a larger /dev/shm",
		"NCCL error", "ncclUnhandledCudaError", "ncclSystemError", "peer access is not supported", "Bus error"),
	say(codes.ClassNoDevice, "check `nvidia-smi` and CUDA_VISIBLE_DEVICES; this build of the engine needs a GPU",
		"Failed to infer device type", "No CUDA GPUs are available", "Found no NVIDIA driver",
		"no CUDA-capable device is detected"),
	say(codes.ClassVersion, hintVersion,
		"undefined symbol", "cannot open shared object file", "CUDA driver version is insufficient",
		"driver/library version mismatch", "forward compatibility was attempted",
		"ModuleNotFoundError", "ImportError"),
	say(codes.ClassVersion, "this version of the engine does not know what the line names: leave that key out of the "+
		"study, or install a version that has it",
		"unrecognized arguments:", "No such option", "Extra inputs are not permitted", "error: invalid argument",
		"unknown argument:"),
	say(codes.ClassGraphCompile, "switch compilation and CUDA graphs off (enforce_eager, disable_cuda_graph), or "+
		"install a compiler and ninja",
		"Capture cuda graph failed", "torch._dynamo.exc", "CUDA_HOME environment variable is not set",
		"No such file or directory: 'ninja'", "ptxas fatal", "torch._inductor.exc"),
	say(codes.ClassStartTimeout, "raise the time limit, or look at what it was doing in engine.log",
		"Timed out waiting for engine", "server_start_timeout"),
}

// diagnosed bounds how much of a log is read: causes stand near its beginning or, of an
// engine that has worked for long, its end.
const (
	diagnosed     = 4 << 20
	diagnosedTail = 256 << 10
)

// mild is the beginning of a line that its engine does not take for an error: after the
// name of the process (vLLM), a level in brackets (TensorRT-LLM), or a time and a letter
// (llama.cpp).
var mild = regexp.MustCompile(
	`^(\([^)]*\) )?(\[trt-llm\] )?(\[[0-9/:, -]+\] )?(\[(w|i|d|v)\]|(warning|info|debug)\b|[0-9.]+ (w|i|d) )`)

// A Python traceback names a place and quotes its line of source, after what the engine
// writes before each line.
var (
	place  = regexp.MustCompile(`\bfile ".*", line [0-9]+`)
	source = regexp.MustCompile(`^(\([^)]*\) )?(error [^\]]*\] )?    `)
)

// diagnoseLog finds the first line of an engine's output that tells what happened: the message of
// the failure that it returns.
func diagnoseLog(log io.Reader) (note.Failure, bool) {
	r := bufio.NewReaderSize(io.LimitReader(log, diagnosed), 64<<10)
	var hinted *note.Failure // by a mild line
	code := false
	for {
		line, err := r.ReadSlice('\n') // the beginning of a longer line will do
		if text := strings.ToLower(string(line)); text != "" {
			quoted := code && source.MatchString(text)
			code = place.MatchString(text)
			switch d, ok := diagnoseLine(text, string(line)); {
			case quoted:
			case ok && !mild.MatchString(text):
				return d, true
			case ok && hinted == nil:
				hinted = &d
			}
		}
		switch {
		case err == nil, errors.Is(err, bufio.ErrBufferFull):
		case hinted != nil:
			return *hinted, true
		default:
			return note.Failure{}, false
		}
	}
}

// fits is how many tokens vLLM says that the cache has room for.
var fits = regexp.MustCompile(`estimated maximum model length is ([0-9]+)`)

// diagnoseLine looks at one line, in small letters and as it is.
func diagnoseLine(text, line string) (note.Failure, bool) {
	for _, s := range symptoms {
		if !s.matches(text) {
			continue
		}
		d := note.Failure{Class: s.class, Next: s.hint, Message: shorten(line)}
		if m := fits.FindStringSubmatch(text); m != nil {
			d.Next = "prompt and output of at most " + m[1] +
				" tokens fit: use fewer, or raise the memory share of the engine"
		}
		return d, true
	}
	return note.Failure{}, false
}

// longestLine is how much of the decisive line is kept.
const longestLine = 400

func shorten(line string) string {
	line = strings.ToValidUTF8(strings.TrimSpace(line), "�")
	if r := []rune(line); len(r) > longestLine {
		line = string(r[:longestLine]) + "…"
	}
	return line
}

// diagnose completes a failure from a log, and reports whether it could.
func diagnose(f *note.Failure, path string) bool {
	file, err := os.Open(path)
	if err != nil {
		return false
	}
	defer file.Close()
	d, ok := diagnoseLog(file)
	if info, err := file.Stat(); !ok && err == nil && info.Size() > diagnosed {
		if _, err := file.Seek(max(diagnosed, info.Size()-diagnosedTail), io.SeekStart); err == nil {
			d, ok = diagnoseLog(file)
		}
	}
	if ok {
		f.Class, f.Next = d.Class, d.Next
		f.Message += ": " + d.Message
	}
	return ok
}

// suicide is what SGLang prints before it kills itself and all of its processes: nobody
// else did, and the reason is above.
const suicide = "Received sigquit from a child process"

// killedItself says that an engine's log ends with that.
func killedItself(path string) bool { return strings.Contains(tail(path, 64<<10), suicide) }
