from volans.client.base_publication cimport BasePublication

cdef class Publication(BasePublication):
    pass
