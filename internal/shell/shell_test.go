package shell

import (
	"os/exec"
	"path/filepath"
	"testing"
)

var names = map[string]string{
	"results/batch-20260102T030405Z":      "results/batch-20260102T030405Z",
	"results/batch-20260102T030405Z:3fa9": "results/batch-20260102T030405Z:3fa9",
	"größe/模型":                            "größe/模型",
	"my results/a":                        "'my results/a'",
	"it's":                                `'it'\''s'`,
	"a$HOME":                              "'a$HOME'",
	"a;b":                                 "'a;b'",
	"~/x":                                 "'~/x'",
	"-o":                                  "./-o",
	"":                                    "''",
	"a\nb'\\":                             `$'a\nb\'\\'`,
}

func TestQuote(t *testing.T) {
	for name, want := range names {
		if got := Quote(name); got != want {
			t.Errorf("%q: %s, want %s", name, got, want)
		}
	}
}

// TestShells: a shell reads what Quote writes as the one argument that was meant.
func TestShells(t *testing.T) {
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Skip("there is no bash")
	}
	for name := range names {
		want := name
		if name == "-o" {
			want = "./-o"
		}
		script := "set -- " + Quote(name) + `; printf '%s|%s' $# "$1"`
		out, err := exec.CommandContext(t.Context(), bash, "-c", script).Output()
		if err != nil || string(out) != "1|"+want {
			t.Errorf("%q: bash reads %q, %v", name, out, err)
		}
	}
}

func TestShort(t *testing.T) {
	for _, q := range []struct{ here, name, want string }{
		{"/home/ann", "/home/ann/results/a", "results/a"},
		{"/home/ann/results/a", "/home/ann/results/a", "."},
		{"/home/ann/x", "/home/ann/results/a", "../results/a"},
		{"/home/ann/deep/er/and/deeper", "/tmp/a", "/tmp/a"},
		{"/home/ann", "results/a", "results/a"},
	} {
		if got := from(q.here, q.name); got != q.want {
			t.Errorf("from %s: %s is %s, want %s", q.here, q.name, got, q.want)
		}
	}
	dir := t.TempDir()
	t.Chdir(dir)
	if got := Path(filepath.Join(dir, "a b")); got != "'a b'" {
		t.Errorf("%s, want 'a b'", got)
	}
}

// TestCalled: commands begin as the program was called; its name elsewhere stays.
func TestCalled(t *testing.T) {
	const text = "llem: interrupted\n  llem run --resume=a\nuse `llem report -v`, as llem says (llem plot x); llem runs"
	want := "llem: interrupted\n  'my $1/llem' run --resume=a\nuse `'my $1/llem' report -v`, as llem says " +
		"('my $1/llem' plot x); llem runs"
	if got := Called("'my $1/llem'", text); got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got := Called("", text); got != text {
		t.Errorf("%q", got)
	}
}
