package portowner

import (
	"net"
	"testing"
)

// TestListening: a connection to a port is not a listener on it.
func TestListening(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	accepted, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer accepted.Close()
	if n := len(listening(l.Addr().(*net.TCPAddr).Port)); n != 1 {
		t.Errorf("%d sockets listen, want 1", n)
	}
}
