package shell

import (
	"regexp"
	"strings"
)

// commands matches the name of the program where a command of it follows, as in what is to be pasted.
var commands = regexp.MustCompile(
	"(^|[\\s(`])llem( (?:config|doctor|run|report|compare|plot|serve|site|verify|meter|" +
		"push|pull|submit|schema|merge|import|help)\\b)")

// Called returns a text in which the commands of the program begin as it was called: bin/llem report instead of llem
// report. Without a name the text stays as it is.
func Called(name, text string) string {
	if name == "" {
		return text
	}
	return commands.ReplaceAllString(text, "${1}"+strings.ReplaceAll(name, "$", "$$")+"$2")
}
