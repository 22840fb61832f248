module dolmen/host-timesync-daemon

go 1.19
