module meshca.io/istiodload

go 1.21
