package disk

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
)

// sumLine begins the last line of a file with its sum.
const sumLine = "\n# sha256 "

// WriteSummed is [WriteFile] for what is kept in a cache, with the SHA-256 sum of the text in a last line.
func WriteSummed(path string, write func(io.Writer) error) error {
	return WriteFile(path, func(w io.Writer) error {
		sum := sha256.New()
		if err := write(io.MultiWriter(w, sum)); err != nil {
			return err
		}
		_, err := fmt.Fprintf(w, "%s%x\n", sumLine, sum.Sum(nil))
		return err
	})
}

// ReadSummed reads what [WriteSummed] wrote, without its last line. A text that is not the one of its sum is an error;
// one without a sum, of an earlier version, is taken as it is.
func ReadSummed(path string, most int64) ([]byte, error) {
	text, err := ReadFile(path, most)
	if err != nil {
		return nil, err
	}
	at := bytes.LastIndex(text, []byte(sumLine))
	if at < 0 {
		return text, nil
	}
	sum := sha256.Sum256(text[:at])
	if string(text[at+len(sumLine):]) != hex.EncodeToString(sum[:])+"\n" {
		return nil, fmt.Errorf("%s is not what was written: its last line has the sum of another text", path)
	}
	return text[:at], nil
}
