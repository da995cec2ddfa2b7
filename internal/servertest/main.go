package servertest

import (
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Env holds the options of a stub that runs as a separate program: FAULT and STEP, separated by a comma. Its
// dialect is the dialect of the program that it replaces.
const Env = "LLEM_TEST_STUB"

// Main runs a stub if the environment asks for one, and does not return then: call it first in TestMain. The port
// is the value after --port; other arguments are accepted as the engine's program would.
func Main(dialects map[string]Dialect) {
	mainMetronome()
	setting, ok := os.LookupEnv(Env)
	if !ok || len(os.Args) < 2 {
		return
	}
	fields := strings.Split(setting, ",")
	d, ok := dialects[fields[0]]
	if !ok {
		return
	}
	o := Options{Dialect: d, Log: true}
	if len(fields) > 1 {
		o.Fault = Fault(fields[1])
	}
	if len(fields) > 2 {
		o.Step, _ = time.ParseDuration(fields[2])
	}
	os.Exit(run(o, os.Args[1:], os.Stdout, os.Stderr))
}

func run(o Options, args []string, stdout, stderr io.Writer) int {
	port := ""
	for i, a := range args {
		if (a == "--port" || a == "-port") && i+1 < len(args) {
			port = args[i+1]
		}
		switch a {
		case "--version":
			fmt.Fprintln(stdout, "0.0.stub")
			return 0
		case "--list-devices":
			fmt.Fprintln(stdout, "Available devices:")
			return 0
		case "--help", "--help=all":
			return o.help(stdout)
		}
	}
	switch o.Fault {
	case DiesLoading:
		fmt.Fprintln(stderr, "Traceback (most recent call last):\nValueError: Model architectures ['NoSuch'] are "+
			"not supported for now.\n"+
			"RuntimeError: Engine core initialization failed. See root cause above. Failed core proc(s): {}")
		return 1
	case StopsLoading:
		_ = syscall.Kill(os.Getpid(), syscall.SIGSTOP)
		time.Sleep(time.Hour) // the signal may reach another thread first
	case BadFlag:
		fmt.Fprintln(stderr, "usage: stub [-h]\nstub: error: unrecognized arguments: --no-such")
		return 2
	}
	if _, err := strconv.Atoi(port); err != nil {
		fmt.Fprintln(stderr, "no --port")
		return 2
	}
	l, err := net.Listen("tcp", "127.0.0.1:"+port)
	if err != nil {
		fmt.Fprintln(stderr, "OSError: [Errno 98] Address already in use")
		return 1
	}
	if err := New(o).Serve(l); err != nil {
		fmt.Fprintln(stderr, err)
		return 1
	}
	return 0
}

// given returns the value of an option of this program; "" if it is not given.
func given(option string) string {
	if i := slices.Index(os.Args, option); i >= 0 && i+1 < len(os.Args) {
		return os.Args[i+1]
	}
	return ""
}

// help prints the options like these programs.
func (o Options) help(w io.Writer) int {
	list := o.Dialect.Options()
	switch o.Fault {
	case BadFlag:
		return 1
	case LacksOption:
		list = list[1:]
	}
	fmt.Fprintln(w, "usage: stub [-h] [--host HOST] [--port PORT]\n\noptions:")
	for _, name := range list {
		fmt.Fprintf(w, "  -x, %s VALUE   what it does (default: None)\n", name)
	}
	return 0
}
