module dolmen/trim-after-delete

go 1.19
