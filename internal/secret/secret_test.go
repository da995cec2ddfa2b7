package secret

import (
	"encoding/json"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"unicode/utf8"
)

func TestEnv(t *testing.T) {
	environ := []string{"PATH=/bin", "HOME=/root", "HF_TOKEN=hf_abc", "AWS_SECRET_ACCESS_KEY=x", "AWS_ACCESS_KEY_ID=y",
		"GITHUB_TOKEN=z", "CUDA_VISIBLE_DEVICES=1", "CUDA_HOME=/usr/cuda", "VLLM_API_KEY=k", "VLLM_USE_V1=1",
		"PYTHONPATH=/p",
		"HF_HOME=/hf", "DATABASE_URL=postgres://u:p@h/d", "LLEM_PASS_ENV=MY_VAR, SITE_*", "MY_VAR=1", "SITE_LIB=2",
		"OTHER=3",
		"PATHOLOGICAL=1", "SLURM_JOB_ID=7", "SLURM_JWT=t", "db_password=x"}
	want := []string{"PATH", "HOME", "CUDA_VISIBLE_DEVICES", "CUDA_HOME", "VLLM_USE_V1", "PYTHONPATH", "HF_HOME",
		"LLEM_PASS_ENV",
		"MY_VAR", "SITE_LIB", "SLURM_JOB_ID"}
	if got := names(Env(environ)); !slices.Equal(got, want) {
		t.Errorf("given to an engine: %q, want %q", got, want)
	}
	want = []string{"CUDA_VISIBLE_DEVICES", "VLLM_USE_V1"}
	if got := names(PassedOn(environ)); !slices.Equal(got, want) {
		t.Errorf("given to a container: %q, want %q", got, want)
	}
}

// TestPassAll: a single star does not name a family of variables, and the case of a name hides no secret.
func TestPassAll(t *testing.T) {
	got := names(Env([]string{"LLEM_PASS_ENV=*", "OTHER=1", "TZ=UTC"}))
	if !slices.Equal(got, []string{"LLEM_PASS_ENV", "TZ"}) {
		t.Errorf("given to an engine: %q", got)
	}
	for _, name := range []string{"db_password", "Hub_Token", "api_key"} {
		if !IsSecret(name) {
			t.Errorf("%s is not taken for a secret", name)
		}
	}
}

// TestPassedOn: a container also inherits the settings, and none of them is secret.
func TestPassedOn(t *testing.T) {
	got := PassedOn([]string{"PATH=/bin", "OMP_NUM_THREADS=4", "HF_TOKEN=x", "CUDA_HOME=/usr/local/cuda",
		"VLLM_CACHE_ROOT=/scratch", "NCCL_DEBUG=INFO",
		"TORCH_SYMM_MEM_DISABLE_MULTICAST=1", "NVSHMEM_DISABLE_NVLS=1", "LLAMA_ARG_POLL=0", "VLLM_API_KEY=secret",
		"VLLM_HUB_TOKEN=x", "SGLANG_CLIENT_SECRET=x", "NCCL_PASSWORD=x", "VLLM_SECRET_ROUNDS=3"})
	want := []string{"OMP_NUM_THREADS=4", "NCCL_DEBUG=INFO", "TORCH_SYMM_MEM_DISABLE_MULTICAST=1",
		"NVSHMEM_DISABLE_NVLS=1", "LLAMA_ARG_POLL=0", "VLLM_SECRET_ROUNDS=3"}
	if !slices.Equal(got, want) {
		t.Errorf("passed on %q, want %q", got, want)
	}
}

func names(env []string) []string {
	var out []string
	for _, kv := range env {
		name, _, _ := strings.Cut(kv, "=")
		out = append(out, name)
	}
	return out
}

func TestSecretsAreReplaced(t *testing.T) {
	r := replacer([]string{"HF_TOKEN=hf_short123", "AWS_SECRET_ACCESS_KEY=abcdefgh/ijkl", "X_TOKEN=short",
		"HOME=/root/longer",
		"HF_ENDPOINT=http://user:sekret-word@host", "A_TOKEN=abcdefgh", "B_ENDPOINT=http://user:hub@host"})
	for in, want := range map[string]string{
		"the token hf_short123 is wrong": "the token [HF_TOKEN] is wrong",
		"abcdefgh/ijkl":                  "[AWS_SECRET_ACCESS_KEY]",
		"abcdefgh":                       "[A_TOKEN]",
		"short /root/longer":             "short /root/longer",
		"sekret-word":                    "[HF_ENDPOINT]",
		"a hub is ahead":                 "a hub is ahead",
	} {
		if got := r.Replace(in); got != want {
			t.Errorf("%q became %q, want %q", in, got, want)
		}
	}
}

func TestText(t *testing.T) {
	for in, want := range map[string]string{
		"plain, 1 µs – 2\n\tthree":              "plain, 1 µs – 2\n\tthree",
		"no model on http://user:sekret@host/a": "no model on http://host/a",
		"hf_ABCDEFGHIJKLMNOPQRSTUVWX is wrong":  "[token] is wrong",
		"\x1b]0;title\x07after":                 "after",
		"\x1b]8;;http://x\x1b\\link":            "link",
		"\x1b[31mred\x1b[0m \x1b[2J\x1b[1;1Hx":  "red x",
		"\x1bcreset\x1b":                        "reset",
		"a\rb\r\nc\bd\x00":                      "a\nb\ncd",
		"\u009b31mC1\u0085":                     "31mC1",
		"\u202eabc\u2066":                       "abc",
		"\u202aa\u2069b\u2029":                  "ab\u2029",
		"\x1bP1;2q sixel \x1b\\done \x1b[":      "done ",
	} {
		if got := Text(in); got != want {
			t.Errorf("%q became %q, want %q", in, got, want)
		}
	}
}

// TestClean: every string of a value is reached.
func TestClean(t *testing.T) {
	type part struct{ Text string }
	type word string
	v := struct {
		Name   string
		Word   word
		Part   *part
		Parts  []part
		List   []string
		Map    map[string]string
		Any    any
		Number int
		Bytes  []byte
		hidden string
	}{"\x1ba", "\x1bb", &part{"\x1bc"}, []part{{"\x1bd"}}, []string{"\x1be"}, map[string]string{"k": "\x1bf"},
		"\x1bg", 1,
		[]byte("\x1b"), "\x1bh"}
	Clean(&v)
	got := []string{v.Name, string(v.Word), v.Part.Text, v.Parts[0].Text, v.List[0], v.Map["k"], v.Any.(string)}
	if slices.ContainsFunc(got, func(s string) bool { return s != "" }) || v.hidden != "\x1bh" || v.Bytes[0] != 0x1b {
		t.Errorf("cleaned %q, hidden %q", got, v.hidden)
	}
	CleanPlain(&v)
	Clean(nil)
}

// TestWatch: everything that Plain removes is detected, however the text is split.
func TestWatch(t *testing.T) {
	for text, odd := range map[string]bool{"plain, 1 µs – 2 é": false, "a\\u001bb": true, "x\x7f": true,
		"\u009b31m": true,
		"\u202eabc": true, "\u2066": true, "\u2013\u00b5": false, `a\rb`: true} {
		for cut := range len(text) + 1 {
			w := NewWatch(io.MultiReader(strings.NewReader(text[:cut]), strings.NewReader(text[cut:])))
			got, err := io.ReadAll(w)
			if err != nil || string(got) != text || w.Odd() != odd {
				t.Errorf("%q cut at %d: read %q, odd %v, error %v", text, cut, got, w.Odd(), err)
			}
			one := NewWatch(iotest.OneByteReader(strings.NewReader(text)))
			if _, err := io.ReadAll(one); err != nil || one.Odd() != odd {
				t.Errorf("%q byte by byte: odd %v, error %v", text, one.Odd(), err)
			}
		}
	}
}

// FuzzText: the result holds nothing that controls a terminal, and a second pass does not change it.
func FuzzText(f *testing.F) {
	for _, s := range []string{"\x1b[31mred", "\x1b]0;x\x07", "a\r\nb", "\u009b", "http://u:p@h", "\x1b\x1b[[0m",
		"\x1b]\x1b]x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := Plain(s)
		if strings.ContainsFunc(got, control) {
			t.Errorf("%q became %q", s, got)
		}
		if b, err := json.Marshal(s); err == nil && utf8.ValidString(s) && got != s && !Odd(b) {
			t.Errorf("%q became %q and is not seen in %s", s, got, b)
		}
		if again := Plain(got); again != got {
			t.Errorf("%q became %q, then %q", s, got, again)
		}
	})
}
