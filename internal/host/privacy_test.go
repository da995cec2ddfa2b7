package host

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/llenergymeasure/llem/note"
)

// secrets are what TestPrivacy plants wherever the package looks or might be
// tempted to look.
var secrets = map[string]string{
	"token":     "hf_sEcReTtOkEn",
	"host":      "turing-node-17",
	"domain":    "corp.example.org",
	"user":      "alice.liddell",
	"account":   "wonderland-lab",
	"address":   "10.11.12.13",
	"mac":       "3c:ec:ef:aa:bb:cc",
	"serial":    "SN-8842-XYZ",
	"machine":   "b08dfa6083e7567a1921a715000001fb",
	"container": "4f2e9c7d1b6a8e350d",
	"job name":  "secret-model-ablation",
	"project":   "unpublished-paper",
}

// plant returns the tree of a server with secrets in it.
func plant(t *testing.T) string {
	root := untar(t, "testdata/intel-2s.txtar")
	home := "/home/" + secrets["user"]
	for name, text := range map[string]string{
		"etc/hostname":             secrets["host"] + "\n",
		"etc/hosts":                secrets["address"] + " " + secrets["host"] + "." + secrets["domain"],
		"etc/machine-id":           secrets["machine"],
		"etc/passwd":               secrets["user"] + ":x:1000:1000::" + home + ":/bin/bash",
		"etc/os-release":           "NAME=Ubuntu\nVERSION_ID=24.04\nHOME_URL=https://" + secrets["domain"],
		"proc/sys/kernel/hostname": secrets["host"],
		"proc/sys/kernel/version":  "#1 SMP " + secrets["user"] + "@" + secrets["host"],
		"proc/version":             "Linux version 6.8.0 (" + secrets["user"] + "@" + secrets["host"] + ")",
		"proc/cmdline":             "root=/dev/sda ip=" + secrets["address"],
		"proc/self/environ":        "HF_TOKEN=" + secrets["token"],
		"proc/1/environ":           "HF_TOKEN=" + secrets["token"],
		"proc/self/cgroup":         "0::/user.slice/" + secrets["user"] + "/docker-" + secrets["container"],
		"proc/1/cgroup":            "0::/kubepods/" + secrets["container"],
		"proc/self/mountinfo": "1 0 8:1 / " + home + " rw - nfs " + secrets["address"] + ":/export rw\n" +
			"30 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw",
		"proc/self/status": "Name:\t" + secrets["job name"] +
			"\nCpus_allowed_list:\t0-7",
		"run/.containerenv": "name=\"" + secrets["job name"] +
			"\"\nid=\"" + secrets["container"] + "\"",
		"run/systemd/container":                                         secrets["user"] + "@" + secrets["host"],
		"sys/class/dmi/id/product_serial":                               secrets["serial"],
		"sys/class/dmi/id/product_uuid":                                 secrets["machine"],
		"sys/class/dmi/id/board_serial":                                 secrets["serial"],
		"sys/class/net/eth0/address":                                    secrets["mac"],
		"sys/fs/cgroup/user.slice/" + secrets["user"] + "/memory.max":   "what?",
		"sys/fs/cgroup/user.slice/" + secrets["user"] + "/cgroup.procs": "1",
		"proc/driver/nvidia/version": "NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.15  Release Build  (" +
			secrets["user"] + "@" + secrets["host"] + ")",
		"usr/local/cuda/version.json": `{"cuda": {"version": "` + home + `"}}`,
	} {
		writeFile(t, root, name, text)
	}
	return root
}

func TestPrivacy(t *testing.T) {
	home := "/home/" + secrets["user"]
	opt := options(plant(t))
	opt.Env = env(map[string]string{
		"HF_TOKEN": secrets["token"], "AWS_SECRET_ACCESS_KEY": secrets["token"], "HOME": home, "USER": secrets["user"],
		"HOSTNAME": secrets["host"], "KUBERNETES_SERVICE_HOST": secrets["address"],
		"SLURM_JOB_ID": "77", "SLURM_JOB_USER": secrets["user"], "SLURM_JOB_ACCOUNT": secrets["account"],
		"SLURM_JOB_NAME": secrets["job name"], "SLURMD_NODENAME": secrets["host"], "SLURM_SUBMIT_HOST": secrets["host"],
		"SLURM_SUBMIT_DIR": home, "SLURM_JOB_NODELIST": secrets["host"], "SLURM_CLUSTER_NAME": secrets["account"],
		"SLURM_JOB_PARTITION": home + "/" + secrets["account"], "SLURM_ARRAY_TASK_ID": secrets["token"],
	})
	opt.Build = BuildInfo{Version: "v1.0.0", Commit: home, GoVersion: "go1.26.0", Flags: map[string]string{
		"CGO_CFLAGS": "-O3 -I" + home + "/include -ffile-prefix-map=" + home + "=. -march=native",
		home:         "x",
	}}
	opt.GPUs = []GPU{{Unknown: map[string]string{
		"vbios": "open " + home + "/.nv/cache: permission denied",
		"uuid":  "reading '" + home + "' (" + home + "/x): /proc/driver/nvidia/gpus is empty",
		"name":  "see file://" + home + "/log, https://" + secrets["domain"] + "/x",
	}}}
	opt.Packages = []string{"torch*", "vllm*", "transformers"}
	s, err := Collect(t.Context(), opt)
	if err != nil {
		t.Fatal(err)
	}
	s.Merge(WorkerReport{
		PythonVersion: "3.12.4 (main, " + secrets["user"] + "@" + secrets["host"] + ") [GCC 13.2.0]",
		Executable:    home + "/" + secrets["project"] + "/.venv/bin/python3.12",
		Packages: map[string]string{
			"torch":            "2.9.1+cu128",
			"vllm":             "0.11.0 @ file://" + home + "/vllm",
			"transformers":     "git+https://" + secrets["token"] + "@" + secrets["domain"] + "/x",
			secrets["project"]: "0.1.0",
		},
		CUDARuntime: "12.8", CUDASource: home, CuDNN: "at " + home,
	})
	if got := s.Python; deref(got.Version) != "3.12.4" || deref(got.Executable) != "python3.12" ||
		len(got.Packages) != 1 {
		t.Errorf("python = %q %q %v", deref(got.Version), deref(got.Executable), got.Packages)
	}
	if got, want := s.Build.Flags["CGO_CFLAGS"], "-O3 -march=native"; got != want || len(s.Build.Flags) != 1 {
		t.Errorf("build flags = %v, want only CGO_CFLAGS %q", s.Build.Flags, want)
	}
	if got, want := s.GPUs[0].Unknown["vbios"], "open (path): permission denied"; got != want {
		t.Errorf("reason = %q, want %q", got, want)
	}
	if why := s.GPUs[0].Unknown["uuid"]; !strings.Contains(why, "/proc/driver/nvidia/gpus is empty") {
		t.Errorf("reason = %q has lost the kernel's path", why)
	}
	checkNulls(t, s)

	b, err := json.Marshal(struct {
		*Snapshot
		W note.List
	}{s, Warnings(s)})
	if err != nil {
		t.Fatal(err)
	}
	text := strings.ToLower(string(b))
	for what, secret := range secrets {
		if strings.Contains(text, strings.ToLower(secret)) {
			t.Errorf("the snapshot holds the %s %q", what, secret)
		}
	}
	for _, part := range []string{"/home", opt.Root, "@"} {
		if strings.Contains(text, strings.ToLower(part)) {
			t.Errorf("the snapshot holds %q", part)
		}
	}
}

func TestIncludeHostname(t *testing.T) {
	opt := options(plant(t))
	opt.IncludeHostname = true
	s, err := Collect(t.Context(), opt)
	if err != nil {
		t.Fatal(err)
	}
	if got := deref(s.OS.Hostname); got != secrets["host"] {
		t.Errorf("hostname = %q, want %q", got, secrets["host"])
	}
}
