// istiodload answers whether istiod would start with the files of a Secret `cacerts`, by Go's own libraries.
//
// Each line of its input is a JSON object: {"now": RFC 3339, "files": {name: base64}}. Each line of its output is empty
// when istiod would start, and otherwise what it would stop at. The checks are those of Istio 1.32, in its order
// (pilot/pkg/bootstrap/istio_ca.go, security/pkg/pki/util/keycertbundle.go and crypto.go, security/pkg/pki/ca/ca.go).
package main

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"
)

type question struct {
	Now   time.Time
	Files map[string][]byte
}

// files are the four that istiod reads, under the names they have in one of its two formats.
type files struct{ cert, key, chain, roots []byte }

func main() {
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		fmt.Println(answer(lines.Bytes()))
	}
}

func answer(line []byte) string {
	var asked question
	if err := json.Unmarshal(line, &asked); err != nil {
		return err.Error()
	}
	found, err := detect(asked.Files)
	if err == nil {
		err = load(found, asked.Now)
	}
	if err != nil {
		return strings.ReplaceAll(err.Error(), "\n", " ")
	}
	return ""
}

// detect prefers the TLS format, and asks for a whole set.
func detect(secret map[string][]byte) (files, error) {
	names := [4]string{"ca-cert.pem", "ca-key.pem", "cert-chain.pem", "root-cert.pem"}
	_, isTLS := secret["tls.crt"]
	if isTLS {
		names = [4]string{"tls.crt", "tls.key", "tls.crt", "ca.crt"}
	}
	for _, name := range names {
		if _, ok := secret[name]; !ok {
			return files{}, errors.New("incomplete: no " + name)
		}
	}
	found := files{secret[names[0]], secret[names[1]], secret[names[2]], secret[names[3]]}
	if isTLS {
		found.chain = append(append([]byte{}, found.chain...), found.roots...)
	}
	return found, nil
}

func load(found files, now time.Time) error {
	signer, err := first(found.cert)
	if err != nil {
		return err
	}
	if err := chains(signer, found, now); err != nil {
		return err
	}
	if err := parseKey(found.key); err != nil {
		return err
	}
	if _, err := tls.X509KeyPair(found.cert, found.key); err != nil {
		return err
	}
	if !signer.IsCA {
		return errors.New("the signer is no CA")
	}
	return lives(found.chain, now)
}

// first reads the first block of a file, whatever its label says.
func first(file []byte) (*x509.Certificate, error) {
	block, _ := pem.Decode(file)
	if block == nil {
		return nil, errors.New("no PEM")
	}
	return x509.ParseCertificate(block.Bytes)
}

func chains(signer *x509.Certificate, found files, now time.Time) error {
	roots, above := x509.NewCertPool(), x509.NewCertPool()
	roots.AppendCertsFromPEM(found.roots)
	above.AppendCertsFromPEM(found.chain)
	_, err := signer.Verify(x509.VerifyOptions{Roots: roots, Intermediates: above, CurrentTime: now})
	return err
}

// parseKey goes by the label of the first block.
func parseKey(file []byte) error {
	block, _ := pem.Decode(file)
	if block == nil {
		return errors.New("no PEM in the key")
	}
	var err error
	switch block.Type {
	case "RSA PRIVATE KEY":
		_, err = x509.ParsePKCS1PrivateKey(block.Bytes)
	case "EC PRIVATE KEY":
		_, err = x509.ParseECPrivateKey(block.Bytes)
	case "PRIVATE KEY":
		_, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	default:
		err = errors.New("the key is a " + block.Type)
	}
	return err
}

// lives asks that the first certificate of the chain has not expired; a chain may be empty.
func lives(chain []byte, now time.Time) error {
	if len(chain) == 0 {
		return nil
	}
	certificate, err := first(chain)
	if err != nil {
		return err
	}
	if !now.Before(certificate.NotAfter) {
		return errors.New("the chain has expired")
	}
	return nil
}
