// A second opinion on the log's proofs: reads cases as lines of JSON, answers each with "true" or "false".
//
// The verification is that of transparency-dev/merkle, written by others and used by public logs.
package main

import (
	"bufio"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"

	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
)

type question struct {
	Kind    string   `json:"kind"`
	Index   uint64   `json:"index"`
	Old     uint64   `json:"old"`
	Size    uint64   `json:"size"`
	Leaf    string   `json:"leaf"`
	OldRoot string   `json:"old_root"`
	Root    string   `json:"root"`
	Proof   []string `json:"proof"`
}

func bytes(text string) []byte {
	found, err := hex.DecodeString(text)
	if err != nil {
		panic(err)
	}
	return found
}

func main() {
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(make([]byte, 1<<20), 1<<20)
	out := bufio.NewWriter(os.Stdout)
	defer out.Flush()
	for lines.Scan() {
		var asked question
		if err := json.Unmarshal(lines.Bytes(), &asked); err != nil {
			panic(err)
		}
		var steps [][]byte
		for _, step := range asked.Proof {
			steps = append(steps, bytes(step))
		}
		var err error
		switch asked.Kind {
		case "inclusion":
			err = proof.VerifyInclusion(rfc6962.DefaultHasher, asked.Index, asked.Size, bytes(asked.Leaf), steps, bytes(asked.Root))
		case "consistency":
			err = proof.VerifyConsistency(rfc6962.DefaultHasher, asked.Old, asked.Size, steps, bytes(asked.OldRoot), bytes(asked.Root))
		case "leaf":
			if hex.EncodeToString(rfc6962.DefaultHasher.HashLeaf(bytes(asked.Leaf))) != asked.Root {
				err = fmt.Errorf("another hash")
			}
		case "empty":
			if hex.EncodeToString(rfc6962.DefaultHasher.EmptyRoot()) != asked.Root {
				err = fmt.Errorf("another root")
			}
		default:
			panic("unknown kind " + asked.Kind)
		}
		fmt.Fprintln(out, err == nil)
	}
}
