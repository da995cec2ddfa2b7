package host

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"runtime/debug"
	"slices"
	"strings"
)

// BuildInfo describes the running binary.
type BuildInfo struct {
	Version   string `json:"version"`
	Commit    string `json:"commit,omitempty"`
	GoVersion string `json:"go_version"`
	// Flags are the build settings that decide how fast the compiled-in engine
	// runs, e.g. CGO_CXXFLAGS -> "-O3 -march=native". Arguments with a path in
	// them are dropped.
	Flags map[string]string `json:"build_flags"`
}

func (b BuildInfo) isZero() bool {
	return b.Version == "" && b.Commit == "" && b.GoVersion == "" && b.Flags == nil
}

// CurrentBuild returns what the Go tool recorded in the running binary.
func CurrentBuild() BuildInfo {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return BuildInfo{}
	}
	b := BuildInfo{Version: info.Main.Version, GoVersion: info.GoVersion, Flags: map[string]string{}}
	dirty := false
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			b.Commit = s.Value
		case "vcs.modified":
			dirty = s.Value == "true"
		case "CGO_ENABLED", "CGO_CFLAGS", "CGO_CXXFLAGS", "CGO_CPPFLAGS", "CGO_LDFLAGS",
			"GOAMD64", "GOARM64", "GOEXPERIMENT", "-tags", "-race":
			b.Flags[s.Key] = s.Value
		}
	}
	if dirty && b.Commit != "" {
		b.Commit += "+dirty"
	}
	return b
}

// Name returns the commit, otherwise the version.
func (b BuildInfo) Name() string {
	if b.Commit != "" {
		return b.Commit
	}
	return b.Version
}

// clean returns the build without anything that could name a person or a
// folder.
func (b BuildInfo) clean() BuildInfo {
	out := BuildInfo{
		Version:   strings.ReplaceAll(clean(b.Version), "/", ""),
		GoVersion: clean(b.GoVersion),
		Flags:     map[string]string{},
	}
	out.Commit, _ = token(b.Commit)
	for key, value := range b.Flags {
		if key = clean(key); key == "" || strings.ContainsAny(key, `/\`) {
			continue
		}
		args := strings.Fields(value)
		args = slices.DeleteFunc(args, func(a string) bool { return strings.ContainsAny(a, `/\~@$`) })
		out.Flags[key] = strings.Join(args, " ")
	}
	return out
}

// driverVersion returns the version in the first line of /proc/driver/nvidia/version, which also has the
// builder's host name.
var driverVersion = regexp.MustCompile(`\s(\d{3,4}\.\d+(?:\.\d+)?)\s`)

// cuda reads the versions of the driver and an installed toolkit. Workers know better which runtime they use;
// see [Snapshot.Merge].
func (r *reader) cuda(gpus []GPU) CUDA {
	var c CUDA
	for _, g := range gpus {
		if g.DriverVersion != nil && c.DriverVersion == nil {
			c.DriverVersion = g.DriverVersion
		}
		if g.CUDADriverVersion != nil && c.DriverCUDAVersion == nil {
			c.DriverCUDAVersion = g.CUDADriverVersion
		}
	}
	if c.DriverVersion == nil {
		const name = "proc/driver/nvidia/version"
		if text, err := r.text(name); err != nil {
			r.missErr("cuda.driver_version", name, err)
		} else if m := driverVersion.FindStringSubmatch(text + "\n"); m != nil {
			c.DriverVersion = &m[1]
		} else {
			r.missErr("cuda.driver_version", name, errFormat)
		}
	}
	if c.DriverCUDAVersion == nil {
		r.miss("cuda.driver_cuda_version", "no GPU reported it")
	}
	const later = "no worker reported it"
	r.miss("cuda.cudnn_version", later)
	if v := r.toolkitVersion(); v != "" {
		c.RuntimeVersion, c.Source = &v, new(versionFile)
	} else {
		r.miss("cuda.runtime_version", later)
		r.miss("cuda.source", "the runtime's version is unknown")
	}
	return c
}

// versionFile is the Source of a runtime version from the toolkit's file; any worker's report overrides it.
const versionFile = "version_file"

// toolkitVersion reads the version file of an installed CUDA toolkit.
func (r *reader) toolkitVersion() string {
	b, err := r.bytes("usr/local/cuda/version.json", maxFile)
	if err != nil {
		return ""
	}
	var file struct {
		CUDA struct {
			Version string `json:"version"`
		} `json:"cuda"`
	}
	if json.Unmarshal(b, &file) != nil {
		return ""
	}
	v, _ := token(file.CUDA.Version)
	return v
}

// noPython records that no worker has reported yet.
func (r *reader) noPython() {
	for _, f := range []string{"version", "executable", "packages"} {
		r.miss("python."+f, "no worker reported it")
	}
}

// WorkerReport is a worker's description of its environment; empty fields are unknown.
type WorkerReport struct {
	PythonVersion string            // sys.version or platform.python_version()
	Executable    string            // sys.executable; only the file name is kept
	Packages      map[string]string // distribution -> version; only relevant ones are kept
	CUDARuntime   string
	CuDNN         string
	CUDASource    string // source of CUDARuntime, e.g. torch, nvcc
}

// Merge adds a worker's report to the snapshot. A fact that is already known from another worker is kept, and
// the difference is added to Conflicts. Texts that are not a plain name or version (a path, an URL) are
// dropped. Merge is not safe for concurrent use.
func (s *Snapshot) Merge(w WorkerReport) {
	if s.Unknown == nil {
		s.Unknown = map[string]string{}
	}
	version, _, _ := strings.Cut(strings.TrimSpace(w.PythonVersion), " ")
	s.put("python.version", &s.Python.Version, version)
	// Only the text after the last separator, of either kind.
	s.put("python.executable", &s.Python.Executable, w.Executable[strings.LastIndexAny(w.Executable, `/\`)+1:])

	for _, key := range slices.Sorted(maps.Keys(w.Packages)) {
		name, okName := token(strings.ToLower(strings.ReplaceAll(key, "_", "-")))
		version, okVersion := token(w.Packages[key])
		if !okName || !okVersion || !relevant(name, packages, s.packages) {
			continue
		}
		if s.Python.Packages == nil {
			s.Python.Packages = map[string]string{}
			delete(s.Unknown, "python.packages")
		}
		if old, ok := s.Python.Packages[name]; ok && old != version {
			s.conflict("python.packages."+name, old, version)
			continue
		}
		s.Python.Packages[name] = version
	}

	if deref(s.CUDA.Source) == versionFile {
		if _, ok := token(w.CUDARuntime); ok {
			s.CUDA.RuntimeVersion, s.CUDA.Source = nil, nil
		}
	}
	first := s.CUDA.RuntimeVersion == nil
	s.put("cuda.runtime_version", &s.CUDA.RuntimeVersion, w.CUDARuntime)
	if first && s.CUDA.RuntimeVersion != nil {
		s.Unknown["cuda.source"] = "the worker did not report it"
		s.put("cuda.source", &s.CUDA.Source, w.CUDASource)
	}
	s.put("cuda.cudnn_version", &s.CUDA.CuDNNVersion, w.CuDNN)
}

// put sets a field of the snapshot from a worker's text if it is a token.
func (s *Snapshot) put(field string, at **string, value string) {
	v, ok := token(value)
	switch {
	case !ok:
	case *at == nil:
		*at = &v
		delete(s.Unknown, field)
	case **at != v:
		s.conflict(field, **at, v)
	}
}

func (s *Snapshot) conflict(field, first, then string) {
	c := fmt.Sprintf("%s: %s and %s", field, first, then)
	if i, found := slices.BinarySearch(s.Conflicts, c); !found {
		s.Conflicts = slices.Insert(s.Conflicts, i, c)
	}
}

// packages are the Python packages that can change speed, energy or output of any inference engine; packages
// of a single engine are in [Options]. A name that ends with * matches all names with the prefix. Other
// packages are omitted: a full list reveals more about the user than about the result.
var packages = []string{"nvidia-*", "onnxruntime*", "cupy-*", "cuda-*", "rocm*", "amd*",
	"intel-extension-for-*", "datasets", "deepspeed", "huggingface-hub", "jax", "jaxlib", "mlx", "mlx-lm", "numpy",
	"pynvml"}

// relevant reports whether a package is one of a list.
func relevant(name string, lists ...[]string) bool {
	return slices.ContainsFunc(slices.Concat(lists...), func(p string) bool {
		begin, open := strings.CutSuffix(p, "*")
		return name == p || open && strings.HasPrefix(name, begin)
	})
}
