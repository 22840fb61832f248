module dolmen/tpm-key

go 1.19
