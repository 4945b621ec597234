//go:build unix

package daemonize

import (
	"testing"

	"github.com/madhadron/daemonize/internal/testbed"
)

func TestMain(m *testing.M) { testbed.Main(m) }
