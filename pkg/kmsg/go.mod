module dolmen/kmsg

go 1.19
