//go:build unix

package daemonize_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"os/user"

	"github.com/madhadron/daemonize"
)

// A web server: its port is bound as root, its requests are served as the
// user www-data.
func ExampleServiced() {
	daemonize.Serviced(func(ctx context.Context, l net.Listener) error {
		context.AfterFunc(ctx, func() { l.Close() })
		return http.Serve(l, http.FileServer(http.Dir("/srv/www")))
	}, &daemonize.Config[net.Listener]{
		Name:             "www",
		User:             "www-data",
		SyslogOptions:    daemonize.LOG_PID,
		PrivilegedAction: func() (net.Listener, error) { return net.Listen("tcp", ":80") },
	})
}

// A program with a command line of its own.
func ExampleNew() {
	s, err := daemonize.New(func(ctx context.Context, _ struct{}) error {
		<-ctx.Done()
		return nil
	}, &daemonize.Config[struct{}]{Name: "agent"})
	if err != nil {
		log.Fatal(err)
	}
	err = s.Start()
	if running := (*daemonize.RunningError)(nil); errors.As(err, &running) {
		fmt.Println("already up, as pid", running.PID)
	} else if err != nil {
		log.Fatal(err)
	}
}

// A tunnel that goes to the background once it is up. If it cannot get up, the
// shell that started it sees why, and exit code 1.
func ExampleDetach() {
	ready, err := daemonize.Detach(false, false)
	if err != nil {
		log.Fatal(err)
	}
	conn, err := net.Dial("tcp", "gateway.example:4500")
	ready(err)
	if err != nil {
		os.Exit(1)
	}
	defer conn.Close()
	// … carry packets …
}

func ExampleDaemonize() {
	err := daemonize.Daemonize(func() {
		daemonize.Openlog("counter", daemonize.LOG_PID, daemonize.LOG_USER)
		daemonize.Syslog(daemonize.LOG_INFO, "counting")
	})
	if err != nil {
		log.Fatal(err)
	}
}

func ExampleGetpwnam() {
	_, err := daemonize.Getpwnam("no such user")
	var unknown user.UnknownUserError
	fmt.Println(errors.As(err, &unknown))
	// Output: true
}

func ExampleDropPrivileges() {
	secret, err := os.ReadFile("/etc/agent/key") // as root
	if err != nil {
		log.Fatal(err)
	}
	if err := daemonize.DropPrivileges("nobody", ""); err != nil {
		log.Fatal(err) // and never on
	}
	_ = secret // … use it as nobody …
}
