package disk

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
)

// sumLine begins the last line of a file, which has its checksum.
const sumLine = "\n# sha256 "

// WriteSummed is [WriteFile] for cache files, with the SHA-256 checksum of the text in the last line.
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

// ReadSummed reads a file of [WriteSummed], without its last line. It returns an error if the checksum does
// not match; a text without a checksum, of an earlier version, is accepted.
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
		return nil, fmt.Errorf("%s is damaged: the checksum in its last line does not match", path)
	}
	return text[:at], nil
}
