// Says what Go's crypto/x509 makes of chains, a folder each, with root.der and, where there are, int.der and leaf.der.
//
// One line for each: "ok", or why not. A root alone is only read. See tests/pki/validators.py.
package main

import (
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

func main() {
	for _, folder := range os.Args[1:] {
		if err := check(folder); err != nil {
			fmt.Printf("%q\n", err.Error())
		} else {
			fmt.Println("ok")
		}
	}
}

func check(folder string) error {
	root, err := read(folder, "root.der")
	if err != nil {
		return err
	}
	issuing, err := read(folder, "int.der")
	if errors.Is(err, os.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	leaf, err := read(folder, "leaf.der")
	if err != nil {
		return err
	}
	if !root.IsCA { // istiod asks this of the first root of a bundle (pilot/pkg/trustbundle, verifyTrustAnchor)
		return errors.New("the root is not a CA")
	}
	roots, between := x509.NewCertPool(), x509.NewCertPool()
	roots.AddCert(root)
	between.AddCert(issuing)
	for _, purpose := range []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth} {
		for _, name := range append(leaf.DNSNames, "") {
			options := x509.VerifyOptions{
				Roots: roots, Intermediates: between, DNSName: name, KeyUsages: []x509.ExtKeyUsage{purpose},
			}
			if _, err := leaf.Verify(options); err != nil {
				return err
			}
		}
	}
	return nil
}

func read(folder, name string) (*x509.Certificate, error) {
	octets, err := os.ReadFile(filepath.Join(folder, name))
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(octets)
}
