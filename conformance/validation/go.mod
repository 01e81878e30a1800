module github.com/vxn/vxn-runc/conformance/validation

go 1.19
