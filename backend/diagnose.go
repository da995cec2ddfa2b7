package backend

import (
	"bufio"
	"cmp"
	"errors"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/printed"
	"github.com/llenergymeasure/llem/note"
)

// The texts that engines print when they fail come from their sources, issue trackers and runs. The first line
// that matches one of them reports the cause: the last line is usually an uninformative wrapper. Lines that the
// engine itself marks as less than an error count only if there is no other: many engines start with warnings
// about missing features.

// Symptom maps text in an engine's output to a failure.
type Symptom struct {
	// Class of the failure. Empty: the engine prints this before it kills itself, so that the signal that ended it is
	// uninformative.
	Class note.Class
	// Next is the next step; empty uses the default for the class.
	Next string
	// Texts are alternatives: a line matches if it contains any of them, ignoring case; … matches any text.
	Texts []string
	// Advise makes a more specific next step from the line, in lower case. If it is nil or returns an empty string,
	// Next is used.
	Advise func(line string) string
}

// symptom is a Symptom prepared for searching: each text is a list of parts in lower case. Plain searches are used
// because a log may be long.
type symptom struct {
	Symptom
	texts [][]string
}

// searchable prepares symptoms for searching.
func searchable(list []Symptom) []symptom {
	out := make([]symptom, len(list))
	for i, s := range list {
		out[i].Symptom = s
		for _, t := range s.Texts {
			out[i].texts = append(out[i].texts, strings.Split(strings.ToLower(t), "…"))
		}
	}
	return out
}

// say returns a Symptom.
func say(class note.Class, next string, texts ...string) Symptom {
	return Symptom{Class: class, Next: next, Texts: texts}
}

// matches reports whether a line in lower case shows the symptom.
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

// usual maps classes to their default next steps.
var usual = map[note.Class]string{
	codes.ClassKVTooSmall: "lower max_model_len or the batch size, or raise the engine's share of memory; the " +
		"line shows how much fits",
	codes.ClassOOMGPU: "use a smaller model, dtype, batch size or context, or free the GPU (`nvidia-smi` lists the " +
		"processes that use it)",
	codes.ClassOOMHost:          "use a smaller model, dtype or batch size, or a machine with more memory",
	codes.ClassGated:            "accept the model's licence on its page and set HF_TOKEN",
	codes.ClassOffline:          "download the model first, or check the network and HF_ENDPOINT",
	codes.ClassCorruptModel:     "download or generate the model again",
	codes.ClassDiskFull:         "free disk space, or move the cache that the line names",
	codes.ClassModelNotFound:    "check the name or the path of the model",
	codes.ClassUnsupportedModel: "choose another backend, or a newer version of this one",
	codes.ClassUnsupportedDType: "choose another dtype or quantisation for this GPU",
	codes.ClassPortInUse:        "try again: another process took the port",
	codes.ClassNCCL: "check `nvidia-smi topo -m`; in a container give it the host's IPC or a larger " +
		"/dev/shm",
	codes.ClassNoDevice: "check `nvidia-smi` and CUDA_VISIBLE_DEVICES; this build of the engine needs a GPU",
	codes.ClassVersion: "install compatible versions in a separate environment, as the engine's " +
		"documentation describes",
	codes.ClassGraphCompile: "disable compilation and CUDA graphs (enforce_eager, disable_cuda_graph), or " +
		"install a compiler and ninja",
	codes.ClassStartTimeout: "raise the time limit, or read engine.log to see what it was doing",
}

// common are the symptoms that several engines share, in the order in which they are tried on a line. Symptoms of
// one engine are in its folder and are tried first.
var common = searchable([]Symptom{
	say(codes.ClassConfig, "call llem.WorkerMain first in main", "did not hand over to the engine"),
	say(codes.ClassOOMGPU, "",
		"torch.OutOfMemoryError", "torch.cuda.OutOfMemoryError", "CUDA out of memory", "CUDA error: out of memory",
		"CUBLAS_STATUS_ALLOC_FAILED", "HIP out of memory"),
	say(codes.ClassOOMHost, "",
		"DefaultCPUAllocator: can't allocate memory", "DefaultCPUAllocator: not enough memory", "exitcode: -9",
		"exitcode 9", "Cannot allocate memory", "MemoryError",
		"ggml_aligned_malloc: insufficient memory"),
	say(codes.ClassGated, "", "GatedRepoError", "trying to access a gated repo", "401 Client Error",
		"403 Client Error"),
	say(codes.ClassOffline, "",
		"We couldn't connect to", "LocalEntryNotFoundError", "OfflineModeIsEnabled", "Cannot reach https://"),
	say(codes.ClassCorruptModel, "", "SafetensorError"),
	say(codes.ClassDiskFull, "", "No space left on device"),
	say(codes.ClassModelNotFound, "",
		"is not a local folder and is not a valid model identifier", "Repo id must be in the form",
		"RepositoryNotFoundError", "404 Client Error", "Cannot find any model weights with",
		"does not appear to have a file named", "failed to load model"),
	say(codes.ClassUnsupportedModel, "",
		"Model architectures…are not supported", "does not recognize this architecture", "trust_remote_code=True",
		"unsupported architecture", "Unknown architecture"),
	say(codes.ClassUnsupportedDType, "",
		"quantization method…is not supported for the current GPU",
		"Bfloat16 is only supported on GPUs with compute capability", "Unknown quantization method",
		"fp8 tensor core is not supported", "Only SM100 is supported"),
	say(codes.ClassUnsupportedDType,
		"this build of the engine has no code for this GPU: install one that has, or choose another dtype or "+
			"quantisation",
		"no kernel image is available"),
	say(codes.ClassPortInUse, "", "[Errno 98]", "Address already in use", "EADDRINUSE"),
	say(codes.ClassNCCL, "",
		"NCCL error", "ncclUnhandledCudaError", "ncclSystemError", "peer access is not supported", "Bus error"),
	say(codes.ClassNoDevice, "",
		"No CUDA GPUs are available", "Found no NVIDIA driver", "no CUDA-capable device is detected"),
	say(codes.ClassVersion, "",
		"undefined symbol", "cannot open shared object file", "CUDA driver version is insufficient",
		"driver/library version mismatch", "forward compatibility was attempted",
		"ModuleNotFoundError", "ImportError"),
	say(codes.ClassVersion, "this version of the engine does not know what the line names: leave that key out of the "+
		"study, or install a version that has it",
		"unrecognized arguments:", "No such option", "Extra inputs are not permitted", "error: invalid argument",
		"unknown argument:"),
	say(codes.ClassGraphCompile, "",
		"torch._dynamo.exc", "CUDA_HOME environment variable is not set",
		"No such file or directory: 'ninja'", "ptxas fatal", "torch._inductor.exc"),
})

// These limits bound how much of a log is read: causes are near its beginning or, for an engine that has run for
// long, its end.
const (
	diagnosed     = 4 << 20
	diagnosedTail = 256 << 10
)

// mild matches the beginning of a line that its engine does not mark as an error: after the name of the process
// (vLLM), a level in brackets (TensorRT-LLM), or a time and a letter (llama.cpp).
var mild = regexp.MustCompile(
	`^(\([^)]*\) )?(\[trt-llm\] )?(\[[0-9/:, -]+\] )?(\[(w|i|d|v)\]|(warning|info|debug)\b|[0-9.]+ (w|i|d) )`)

// A Python traceback names a file position and quotes its source line, after the prefix that the engine writes on
// each line.
var (
	place  = regexp.MustCompile(`\bfile ".*", line [0-9]+`)
	source = regexp.MustCompile(`^(\([^)]*\) )?(error [^\]]*\] )?    `)
)

// diagnoseLog finds the first line of an engine's output that reports the cause, and returns a failure with that
// line as its message. The engine's own symptoms are tried before the common ones.
func diagnoseLog(log io.Reader, own []symptom) (note.Failure, bool) {
	r := bufio.NewReaderSize(io.LimitReader(log, diagnosed), 64<<10)
	var hinted *note.Failure // set by a mild line
	code := false
	for {
		line, err := r.ReadSlice('\n') // the beginning of a longer line is enough
		if text := strings.ToLower(string(line)); text != "" {
			quoted := code && source.MatchString(text)
			code = place.MatchString(text)
			switch d, ok := diagnoseLine(text, string(line), own); {
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

// diagnoseLine examines one line, given in lower case and unchanged.
func diagnoseLine(text, line string, own []symptom) (note.Failure, bool) {
	for _, list := range [][]symptom{own, common} {
		for _, s := range list {
			if s.Class == "" || !s.matches(text) {
				continue
			}
			next := cmp.Or(s.Next, usual[s.Class])
			if s.Advise != nil {
				next = cmp.Or(s.Advise(text), next)
			}
			return note.Failure{Class: s.Class, Next: next, Message: printed.Line(line)}, true
		}
	}
	return note.Failure{}, false
}

// diagnose completes a failure from a log, and reports whether it found a cause.
func diagnose(f *note.Failure, path string, own []symptom) bool {
	file, err := os.Open(path)
	if err != nil {
		return false
	}
	defer file.Close()
	d, ok := diagnoseLog(file, own)
	if info, err := file.Stat(); !ok && err == nil && info.Size() > diagnosed {
		if _, err := file.Seek(max(diagnosed, info.Size()-diagnosedTail), io.SeekStart); err == nil {
			d, ok = diagnoseLog(file, own)
		}
	}
	if ok {
		f.Class, f.Next = d.Class, d.Next
		f.Message += ": " + d.Message
	}
	return ok
}

// killedItself reports whether an engine's log ends with the text it prints before it kills itself and all of its
// processes. No other process killed it then, and the reason is earlier in the log.
func killedItself(path string, own []symptom) bool {
	end := strings.ToLower(tail(path, 64<<10))
	return slices.ContainsFunc(own, func(s symptom) bool { return s.Class == "" && s.matches(end) })
}
