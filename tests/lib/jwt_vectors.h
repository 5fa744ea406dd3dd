/* Made by tests/lib/jwt_vectors.py: do not edit. */
#ifndef TESTS_LIB_JWT_VECTORS_H
#define TESTS_LIB_JWT_VECTORS_H

#define KEY_ED25519                                                                                \
    "-----BEGIN PUBLIC KEY-----\n"                                                                 \
    "MCowBQYDK2VwAyEAaYRGJeUQFxeX7jXduF7Spk75IjoX9UCWwNeK7/DKnmM=\n"                               \
    "-----END PUBLIC KEY-----\n"

#define KEY_ED25519_RAW "aYRGJeUQFxeX7jXduF7Spk75IjoX9UCWwNeK7_DKnmM"

#define KEY_ED25519_OTHER                                                                          \
    "-----BEGIN PUBLIC KEY-----\n"                                                                 \
    "MCowBQYDK2VwAyEADCrQ9Yw62+2iav5nBo9wIJgLI71z1OPMi8W+HRAdLao=\n"                               \
    "-----END PUBLIC KEY-----\n"

#define KEY_P256                                                                                   \
    "-----BEGIN PUBLIC KEY-----\n"                                                                 \
    "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEV36J9uNTCmroYU01VNYvuo/mMCmh\n"                           \
    "9ar/pVe6fBF2dmyjis6EeXx0daWuk+CYSOLftQlKYfWWoa14lpeG5mZeKQ==\n"                               \
    "-----END PUBLIC KEY-----\n"

#define KEY_RSA                                                                                    \
    "-----BEGIN PUBLIC KEY-----\n"                                                                 \
    "MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAoeetFYv1LPblIZh7ySc9\n"                           \
    "Iz/Futk7LtQ1fmvmPKJGvbKCvkJxXH9amK5jSXD3yd6kUKdZ4BSZ7sMfccSvv3Wh\n"                           \
    "6GmljiV3bo36SnSB3ckYqKojk4RBxvcXkKlKjmw8R18NbYTTWTTmZmpDryRy2zWV\n"                           \
    "zUVuXDARSYxtiTV2Fjt5+guIKgvgpbJYHEoCLQlagQ7XVds9Z/e7P6rOz2YTA7W+\n"                           \
    "yZti93D7XsACQcxYti/DhXVTVxXoBEtgqFwo6k4ZhM+VukrD5MVgpPUfM8BYce0k\n"                           \
    "+JmpIyKZRyX+di51uRWS3/dkQJqeE3UAWsyjWVu9OO5A8Z2QtzK6nfwT/3j4u1yi\n"                           \
    "gQIDAQAB\n"                                                                                   \
    "-----END PUBLIC KEY-----\n"

#define KEY_RSA_4096                                                                               \
    "-----BEGIN PUBLIC KEY-----\n"                                                                 \
    "MIICIjANBgkqhkiG9w0BAQEFAAOCAg8AMIICCgKCAgEA07jhH3oj19u+W0HABN/X\n"                           \
    "OCwpWHDzT+NsZewEx0x+I1vSqJac8Ah60JUndfIB7dyrNhD9PSPglXSXOnHUTowB\n"                           \
    "mmRZly2zcWm3GslKtF75ke8dlj0xZbqx22di4gMVyVsWiQ9pCdf6F9EHv87CCCvp\n"                           \
    "ZxIfuZH6JY0/P6okvxFdFi1dmgwh5gf4PUnpvG0hiKVlvS8sD7ZJXTEUahSrD3Av\n"                           \
    "fFi5ST83m/ovChV2Uskq3VZ0jB1w4W41JuMsZllufaEWMY8BWgbA4Xm/MAIpavIX\n"                           \
    "Y0kuEVmLDVWFQ4WUjCXTjaMIakijWWMMaanxIo4l9f3Gm1Dcc7F0XESMvzbQoq24\n"                           \
    "Ir0A45wsgWd3kbXpQuZBKkkZEU1D18ICYRsXf2A4gioON0xwV9IZm1rONEb9LrIK\n"                           \
    "Qz78D6Yqr7QMTSL84FmKFFhEkRGHtWQbLmbGlU29T25fn4gaxn0n/HlsGU5QVYCV\n"                           \
    "+n+C1b77uYaEqoqFLAq1NnD5SDJCDvbSeotqwNeA+DJD+Sr6dAaHtTdJTtXka8wJ\n"                           \
    "rfTBuPehcyHYzCnDdYFfXVduFdbtb+cvEdLkkKVSnOPPcY5hqJw0xlggKeDAo/UQ\n"                           \
    "/R/rgcegXzvbqFwgw+OwvvXsATXAxC1sVLz1AMY5DTom4EUhL/fkJx3650PY5fLE\n"                           \
    "Pefql04evg+MSoPy9J5AKHkCAwEAAQ==\n"                                                           \
    "-----END PUBLIC KEY-----\n"

#define TOKEN_EDDSA                                                                                \
    "eyJhbGciOiAiRWREU0EiLCAidHlwIjogIkpXVCJ9.eyJpZCI6ICJyb29rcyIsICJhIjogInJvIiwgImV4cCI6IDM"     \
    "yNTAzNjgwMDAwLCAic3ViIjogInNvbWVib2R5In0.NHxSGftIavHSFRWrfZNG4FN5v5EoW1luLWmtv8BBVRJjlWv"     \
    "A1xQyr0MQDYaH43osAn7RE7hONswFqZzVr0pxDg"

#define TOKEN_ES256                                                                                \
    "eyJhbGciOiAiRVMyNTYiLCAidHlwIjogIkpXVCJ9.eyJpZCI6ICJyb29rcyIsICJhIjogInJvIiwgImV4cCI6IDM"     \
    "yNTAzNjgwMDAwLCAic3ViIjogInNvbWVib2R5In0.DdpiCAkAiKk93zuhMpNQDEuPYOSJ4TKeMOb4MNqIECsGAGK"     \
    "y1bJ2KG3CssXF8Kt2L1JdyWjUIivK4AJUMkNG2g"

#define TOKEN_RS256                                                                                \
    "eyJhbGciOiAiUlMyNTYiLCAidHlwIjogIkpXVCJ9.eyJpZCI6ICJyb29rcyIsICJhIjogInJvIiwgImV4cCI6IDM"     \
    "yNTAzNjgwMDAwLCAic3ViIjogInNvbWVib2R5In0.Zm6wRNHNiWgeUJa4c8LqAvEQDC3BqcVh0Yp9F_bR-d0yGeV"     \
    "dnfiLoLhz3crkGMoT-Vqj1C1a7hyOcNM6JCl2JXaOPed1YMaD__dtJuOWkZm4sjYktFrk5UBs3jGLngOpOkHP0q2"     \
    "uxPEddTa9_R_JCYpbbnDn0j9t--YWJ5hUKKFJf_WnnvUjq2ca-JDVdbGzwD0aaAUF5CDsrxeSRtzbFanCtkc1dbI"     \
    "DXgcPmkYiXNzfpffQaDaAXOWzerFvQcTgW6Dj4dA0Yv4p8RojugsAZBSyjbXxTQxNumoDbzf3PNHVFnmmni4H2aw"     \
    "9_HRyqsA2IXb2_-uOfYGqCFKQPsnplg"

#define TOKEN_RS256_4096                                                                           \
    "eyJhbGciOiAiUlMyNTYiLCAidHlwIjogIkpXVCJ9.eyJpZCI6ICJyb29rcyIsICJhIjogInJvIiwgImV4cCI6IDM"     \
    "yNTAzNjgwMDAwLCAic3ViIjogInNvbWVib2R5In0.RR3zzwKSb_Pf4E26oLjQaOeh32HB3p-RdnzqlRUsoWyo3__"     \
    "RALtWKZp1PjsFvjHRL4fiVSwDQ1aCVIQaJ84OuUQ6JiBZWOcmptd2Do4_tXyGxitZcG8UAsCuhnkz473K0V2FyKx"     \
    "ElR15hof6Ghw8GoYOEQNk5IJPPYrXPoKaVHV8uEJCeSguGoSeZY-Hod4mMwy5KzDiA8m4qoYWXwyBhRVjNFm5ry4"     \
    "Dv0Dk1jUHpITVd7JYoZxnvzrygCquEyh4oNVa2a0gOzgLWbi0F2kZ_MX1HFvFjJ3ldRm3k8UwbbRHibBu2j11EnJ"     \
    "iwYwtXrBbmvzw0eDuU9VIBCBzAN3Xxp9ZX8DGNufrBv0mBmbBXJ4ERIQ5GWVTVsIR94hGVcYeN84lLXro-13sTWp"     \
    "G6Zz3eSmJBmRm7NtT6LKQiD_akGeMSPkUcjMNyMGPz2L69lsj566mBUTw5KbfdpuUA4NP8j-8OQi1q7Fp1VR45xM"     \
    "xRx1R8XxMQ_NQ0Mqis3lFlz5Hxl0xxOiNJQTVfiLP_lrf8CavFX_HaxOv3AA-n3RXs_olC7yLva7iozWH1oqwCBR"     \
    "T_laznufmG3bTkcjktmd5NuOCq6FKnlK8f8kuPZk6vm5Uhu1nM4UkEKoJYDHWlshF9BJZY6HtcJ4w91km8g9Cunv"     \
    "ePNcAQ5VNn5Rp96zxSHk"

#define TOKEN_ES256_DER                                                                            \
    "eyJhbGciOiAiRVMyNTYiLCAidHlwIjogIkpXVCJ9.eyJpZCI6ICJyb29rcyIsICJhIjogInJvIiwgImV4cCI6IDM"     \
    "yNTAzNjgwMDAwLCAic3ViIjogInNvbWVib2R5In0.MEUCIQC-V5Mw0IwxN7ThEtyPWsQW-8IwHXU08tmIt-kIZkM"     \
    "h3QIgAlcjwrjog6qa8RJTY-rQca3g4mKuZvA9xGH2qhqB6oI"

#define TOKEN_ES256_ZERO                                                                           \
    "eyJhbGciOiAiRVMyNTYiLCAidHlwIjogIkpXVCJ9.eyJpZCI6ICJyb29rcyIsICJhIjogInJvIiwgImV4cCI6IDM"     \
    "yNTAzNjgwMDAwLCAic3ViIjogInNvbWVib2R5In0.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"     \
    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"

#define TOKEN_RS256_SHA512                                                                         \
    "eyJhbGciOiAiUlMyNTYiLCAidHlwIjogIkpXVCJ9.eyJpZCI6ICJyb29rcyIsICJhIjogInJvIiwgImV4cCI6IDM"     \
    "yNTAzNjgwMDAwLCAic3ViIjogInNvbWVib2R5In0.QWrUtFiH3fjml7qFJCurKlLHC-d_-cwCLQRLbY4B9c4-QfI"     \
    "Rzrag7WGR1o7Tl5_6q53Wto-t_IsIv8wYP4UQ0KuxeEES7oFzFWKmG_ZUcn1rRy22rBdCmnVnDf6jcKnsVAc2JQw"     \
    "T04L3u5xGVsIaWtpgA7CnBYwBas4rqkhIDCkHi4hNK21-tP2rFlBMkIiL9--6UbplnQ57yHJtU5LgVhGKj6pMwrP"     \
    "4U_h_bf_wOAMp2HJ_v1zCFKLCRD_v1MqzubGHuGDM5fiXLhN9KCwSOfQrNhN7iQgZkK2gW9bXwopPbtj5C5swHcn"     \
    "VD2t7bB42Icn2pNaDinglwLx8X3O35g"

#define TOKEN_RS256_PSS                                                                            \
    "eyJhbGciOiAiUlMyNTYiLCAidHlwIjogIkpXVCJ9.eyJpZCI6ICJyb29rcyIsICJhIjogInJvIiwgImV4cCI6IDM"     \
    "yNTAzNjgwMDAwLCAic3ViIjogInNvbWVib2R5In0.Z6izzhFeTcE8KYBEJrDq415cRSm1v5jgHHzuRaZH1LC1Eez"     \
    "EW4U7MXw7Q0VWQX4h2OfKvksJSWgnNoYbgL2dyFp6VKcK_NHQC8Uq9V36z2cUdPyJA09Gde5RBFFwYoGd5ugOf-r"     \
    "VBfu9Gbfw9UdRkcUucm79rcLe1ikx4K2tpD6BUk4RaHsyJ4yeSCPnwSwpOZSdYxClRlBprvdPlKNVFlBthKLuR0U"     \
    "L1S8ULYXxITJqwIorX8uDpZYpye33o1M_5VaY06xSSjogMYLuFrYt0zbidpFOrG5TmNFv4qJxXA9ASA_4AF4msod"     \
    "zi9kgMQnC6MdJOdWiqwKkmH6Sy5q-IA"

#define TOKEN_RS256_BY_ED25519                                                                     \
    "eyJhbGciOiAiUlMyNTYiLCAidHlwIjogIkpXVCJ9.eyJpZCI6ICJyb29rcyIsICJhIjogInJvIiwgImV4cCI6IDM"     \
    "yNTAzNjgwMDAwLCAic3ViIjogInNvbWVib2R5In0.y17VKurFDRVPexKec6Hy5OhDCy4emDtvGHMyrggjyESLpb4"     \
    "OiCw2ySjGcD4ok-cYrtwbH4_oOZWTPOx571HdDw"

#define TOKEN_EDDSA_BY_RSA                                                                         \
    "eyJhbGciOiAiRWREU0EiLCAidHlwIjogIkpXVCJ9.eyJpZCI6ICJyb29rcyIsICJhIjogInJvIiwgImV4cCI6IDM"     \
    "yNTAzNjgwMDAwLCAic3ViIjogInNvbWVib2R5In0.a0BZ4uCwXvpnu2mIlZx2Nzbillqz0feGa0WiTMn1A39Z0JW"     \
    "dkZdElLH0uNxXUExsEN4IfcXWDvlmJx0CGMNMgevDYF-x6rWC7pDuGd7xZ8PUReXteU4WLNxbhQyu_EypXDOIIEP"     \
    "KBdx9oqobf3bHYV2gQ_cBS-AJwFNWJomrZWYN6vzDuowR73iG5m_Dv9rjmHA9x5MubY-tGzwlW_8Y7jQ0gdl-zAd"     \
    "l-F7YSx_HP801-ysGQPwwZ2tFV7q5WPuEFrFnDhJn47UOVx3g3Kuptql_rkxsc_LYfPLPQ62QZg6nQOfk8cRpim7"     \
    "JsAGyXx5i2C4CulfBvRu9G-zFmCfqDg"

#define BAD_PKCS1                                                                                  \
    "-----BEGIN RSA PUBLIC KEY-----\n"                                                             \
    "MIIBCgKCAQEAoeetFYv1LPblIZh7ySc9Iz/Futk7LtQ1fmvmPKJGvbKCvkJxXH9a\n"                           \
    "mK5jSXD3yd6kUKdZ4BSZ7sMfccSvv3Wh6GmljiV3bo36SnSB3ckYqKojk4RBxvcX\n"                           \
    "kKlKjmw8R18NbYTTWTTmZmpDryRy2zWVzUVuXDARSYxtiTV2Fjt5+guIKgvgpbJY\n"                           \
    "HEoCLQlagQ7XVds9Z/e7P6rOz2YTA7W+yZti93D7XsACQcxYti/DhXVTVxXoBEtg\n"                           \
    "qFwo6k4ZhM+VukrD5MVgpPUfM8BYce0k+JmpIyKZRyX+di51uRWS3/dkQJqeE3UA\n"                           \
    "WsyjWVu9OO5A8Z2QtzK6nfwT/3j4u1yigQIDAQAB\n"                                                   \
    "-----END RSA PUBLIC KEY-----\n"

#define BAD_CERTIFICATE                                                                            \
    "-----BEGIN CERTIFICATE-----\n"                                                                \
    "MIIBCjCBsaADAgECAgEBMAoGCCqGSM49BAMCMA8xDTALBgNVBAMMBHRlc3QwHhcN\n"                           \
    "MjYwMTAxMDAwMDAwWhcNMjYwMTAyMDAwMDAwWjAPMQ0wCwYDVQQDDAR0ZXN0MFkw\n"                           \
    "EwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEV36J9uNTCmroYU01VNYvuo/mMCmh9ar/\n"                           \
    "pVe6fBF2dmyjis6EeXx0daWuk+CYSOLftQlKYfWWoa14lpeG5mZeKTAKBggqhkjO\n"                           \
    "PQQDAgNIADBFAiEAkxNmwPP18tpKqboRIT89qYR6dfkSwWEoZ6kJbmYFpscCIEGs\n"                           \
    "GGKX19olK9+szyodShtIc0WsUEualJGNNNpQhV10\n"                                                   \
    "-----END CERTIFICATE-----\n"

#define BAD_RSA_1024                                                                               \
    "-----BEGIN PUBLIC KEY-----\n"                                                                 \
    "MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDUMT9F5eM0AVH/3UJ6i5B5yRJ8\n"                           \
    "bFMOU4cbaX0fLmJNriDr3mJaZ98AzlSS49lbJZYsqbPpniDdlLfwnZggpM96CVfb\n"                           \
    "+pWQlvTEy6i1MV9ZqkbHWCYi9vWo624lTWpJoVE22+pTkQIQ01pjdJUnAPSfMa49\n"                           \
    "4fVTcdZKe0k21KwCRQIDAQAB\n"                                                                   \
    "-----END PUBLIC KEY-----\n"

#define BAD_P384                                                                                   \
    "-----BEGIN PUBLIC KEY-----\n"                                                                 \
    "MHYwEAYHKoZIzj0CAQYFK4EEACIDYgAE2ZpAct/rTk5Z4tkp+c3TD+6c/NameWAI\n"                           \
    "IDkiz+XX7mtQ5dKL3qMpTxp/oAWuV3TWmRYsUiVeOiTVjbIoL560sIRoiig884p+\n"                           \
    "kaAWN2E03nokzwZAC5QFOPY0geQjOFPr\n"                                                           \
    "-----END PUBLIC KEY-----\n"

#define BAD_SECP256K1                                                                              \
    "-----BEGIN PUBLIC KEY-----\n"                                                                 \
    "MFYwEAYHKoZIzj0CAQYFK4EEAAoDQgAEgAD0BcXDceko91tB/qKVG2ROlK7Ek88R\n"                           \
    "t1Ksh5bJoyEHr+hXYmCc6dBXnm3KJcWjXoaG0NwK1XkpjInZp69w/g==\n"                                   \
    "-----END PUBLIC KEY-----\n"

#define BAD_P256_COMPRESSED                                                                        \
    "-----BEGIN PUBLIC KEY-----\n"                                                                 \
    "MDkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDIgADV36J9uNTCmroYU01VNYvuo/mMCmh9ar/pVe6fBF2dmw=\n"           \
    "-----END PUBLIC KEY-----\n"

#define BAD_ED448                                                                                  \
    "-----BEGIN PUBLIC KEY-----\n"                                                                 \
    "MEMwBQYDK2VxAzoA4xUl2o6EkJuQYgaTN/bbORwywEyAjPXJShEQe8MZSRrKtj6G\n"                           \
    "8HXZFjfMpXpsUCQsy4p9SqbMZ7YA\n"                                                               \
    "-----END PUBLIC KEY-----\n"

#define BAD_X25519                                                                                 \
    "-----BEGIN PUBLIC KEY-----\n"                                                                 \
    "MCowBQYDK2VuAyEAs0sz+ROsH/Q9ze+9eRuzd6Xwld8zNsc1hqSGXH3rHHU=\n"                               \
    "-----END PUBLIC KEY-----\n"

#endif
