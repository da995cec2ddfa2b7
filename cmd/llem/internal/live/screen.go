package live

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	tea "charm.land/bubbletea/v2"
	"charm.land/lipgloss/v2"
	"github.com/charmbracelet/colorprofile"
)

// Frames a second: more would cost the machine that is measured.
const (
	framesPerSecond = 4
	refresh         = time.Second / framesPerSecond
)

// screen draws the frames of a display on a terminal, in line with what stands there.
type screen struct {
	out     io.Writer
	display *Display
	program *tea.Program
	stop    chan struct{}
	stopped sync.WaitGroup
	ended   chan struct{} // closed with the program

	mu            sync.Mutex
	width, height int
	closing       bool
}

func newScreen(out io.Writer, color bool, d *Display) *screen {
	s := &screen{out: out, display: d, stop: make(chan struct{}), ended: make(chan struct{}), width: 80, height: 24}
	profile := colorprofile.ASCII
	if color {
		profile = colorprofile.ANSI
	}
	s.program = tea.NewProgram(model{s}, tea.WithOutput(out), tea.WithFPS(framesPerSecond),
		tea.WithColorProfile(profile),
		tea.WithWindowSize(s.width, s.height),          // until the terminal says its own
		tea.WithInput(nil), tea.WithoutSignalHandler()) // Ctrl-C stays a signal, and ours
	go func() {
		defer close(s.ended)
		if _, err := s.program.Run(); err != nil {
			fmt.Fprintf(out, "the study goes on; its view cannot be drawn (%v), lines follow\n", err)
		}
	}()
	s.stopped.Go(s.loop)
	return s
}

// loop draws until the display is closed.
func (s *screen) loop() {
	t := time.NewTicker(refresh)
	defer t.Stop()
	for {
		select {
		case <-s.stop:
			return
		case <-t.C:
			s.print(s.display.tick())
			s.program.Send(redraw{})
		}
	}
}

// atOnce is how many lines go above the view in one step: they are inserted, and must
// fit on the screen.
const atOnce = 8

// print puts lasting lines above the view.
func (s *screen) print(lines []string) {
	s.mu.Lock()
	width := s.width
	s.mu.Unlock()
	var rows []string
	for _, line := range lines {
		// The terminal's own wrapping would not be counted.
		rows = append(rows, strings.Split(lipgloss.Wrap(line, width, ""), "\n")...)
	}
	for len(rows) > 0 {
		n := min(atOnce, len(rows))
		text := strings.Join(rows[:n], "\n")
		rows = rows[n:]
		select {
		case <-s.ended: // the terminal cannot be drawn on: lines are what is left
			fmt.Fprintln(s.out, text)
		default:
			s.program.Send(tea.Println(text)())
		}
	}
}

// close removes the view.
func (s *screen) close() {
	close(s.stop)
	s.stopped.Wait()
	s.print(s.display.tick())
	s.mu.Lock()
	s.closing = true
	s.mu.Unlock()
	s.program.Quit()
	<-s.ended
}

// redraw asks for a frame.
type redraw struct{}

// model hands frames to the program. What they show is the display's.
type model struct{ *screen }

// Init has nothing to do.
func (m model) Init() tea.Cmd { return nil }

// Update takes the size of the terminal.
func (m model) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	if size, ok := msg.(tea.WindowSizeMsg); ok {
		m.mu.Lock()
		m.width, m.height = size.Width, size.Height
		m.mu.Unlock()
	}
	return m, nil
}

// View is the newest frame. The cursor rests, visible, on an empty line below it: what
// is typed is echoed there, and a program that is killed leaves a usable terminal.
func (m model) View() tea.View {
	m.mu.Lock()
	width, height, closing := m.width, m.height, m.closing
	m.mu.Unlock()
	content := ""
	if !closing {
		content = m.display.frame(width, height)
	}
	v := tea.NewView(content)
	v.DisableBracketedPasteMode = true
	v.Cursor = &tea.Cursor{Position: tea.Position{Y: strings.Count(content, "\n")}, Shape: ownShape}
	return v
}

// ownShape leaves the cursor in the shape that the user gave it: code 0 of the control
// sequence, which is what the library has set already.
const ownShape tea.CursorShape = -1
