//go:build unix && cgo && !daemonizego

package daemonize

func sysGetpwnam(name string) (*Passwd, error)            { return lookupPasswd(name) }
func sysGetgrnam(name string) (*Group, error)             { return lookupGroup(name) }
func sysGetgrouplist(user string, gid int) ([]int, error) { return lookupGrouplist(user, gid) }
