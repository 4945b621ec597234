module github.com/madhadron/daemonize

go 1.25.0

require (
	github.com/stretchr/testify v1.11.1
	golang.org/x/sys v0.38.0
)
