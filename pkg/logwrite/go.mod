module dolmen/logwrite

go 1.19
