//go:build unix && !(cgo && !daemonizego)

package daemonize

func sysGetpwnam(name string) (*Passwd, error)            { return filesGetpwnam(name) }
func sysGetpwuid(uid int) (*Passwd, error)                { return filesGetpwuid(uid) }
func sysGetgrnam(name string) (*Group, error)             { return filesGetgrnam(name) }
func sysGetgrouplist(user string, gid int) ([]int, error) { return filesGetgrouplist(user, gid) }
